// Command NAME gets the messages of a queue in batches, and says which of them failed.
//
// A WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0 fails
// the whole batch.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

type event struct {
	Records []struct {
		MessageID string `json:"messageId"`
		Body      string `json:"body"`
	}
}

type failure struct {
	ItemIdentifier string `json:"itemIdentifier"`
}

func main() {
	var batch event
	if err := json.NewDecoder(os.Stdin).Decode(&batch); err != nil {
		fmt.Fprintln(os.Stderr, "no SQS event:", err)
		os.Exit(1)
	}
	failures := []failure{}
	for _, record := range batch.Records {
		if err := handle(record.Body); err != nil {
			fmt.Fprintf(os.Stderr, "message %s failed: %v\n", record.MessageID, err)
			failures = append(failures, failure{record.MessageID})
		}
	}
	// What is named here comes back to the queue; the rest is deleted.
	json.NewEncoder(os.Stdout).Encode(map[string]any{"batchItemFailures": failures})
}

func handle(body string) error {
	var message struct{ ID string }
	if err := json.Unmarshal([]byte(body), &message); err != nil {
		return err
	}
	if message.ID == "" {
		return errors.New("it has no id")
	}
	fmt.Fprintln(os.Stderr, "handling", message.ID)
	return nil
}
