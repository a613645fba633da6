// Command acts does what each message says, so that a test can see what a handler in Go sees and break what it can break.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

type event struct {
	Records []struct {
		Body              string
		MessageAttributes map[string]struct {
			StringValue string
			BinaryValue []byte
		}
	}
}

func main() {
	var batch event
	must(json.NewDecoder(os.Stdin).Decode(&batch))
	for _, record := range batch.Records {
		var order struct{ Do, Word string }
		must(json.Unmarshal([]byte(record.Body), &order))
		switch order.Do {
		case "see":
			deadline, err := strconv.ParseInt(os.Getenv("WASMILL_DEADLINE_MS"), 10, 64)
			must(err)
			memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
			must(err)
			binary := []int{}
			for _, value := range record.MessageAttributes["b"].BinaryValue {
				binary = append(binary, int(value))
			}
			must(json.NewEncoder(os.Stderr).Encode(map[string]any{
				"binary":   binary,
				"function": os.Getenv("AWS_LAMBDA_FUNCTION_NAME"),
				"late":     time.Now().UnixMilli() >= deadline,
				"memory":   memory,
				"secret":   os.Getenv("SECRET"),
				"text":     record.MessageAttributes["s"].StringValue,
				"word":     order.Word,
			}))
		case "raise":
			must(fmt.Errorf("as it was told to"))
		case "hang":
			for {
			}
		default:
			must(fmt.Errorf("no such act: %s", order.Do))
		}
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
