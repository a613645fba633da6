// Command orders is `orders` in Go: the same small job as handlers/orders does in Rust. It takes the orders of one batch,
// charges each of them, and reports those that failed. What an order looks like is said there.
//
// It is a WASI command: Lambda's event on stdin, Lambda's response on stdout, logs on stderr. Any other exit status than 0
// fails the batch.
//
//	GOOS=wasip1 GOARCH=wasm go build -ldflags='-s -w' -o orders-go.wasm
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// The parts of Lambda's SQS event that are read here.
type event struct {
	Records []record
}

type record struct {
	MessageID  string `json:"messageId"`
	Body       string `json:"body"`
	Attributes struct {
		ApproximateReceiveCount string
	} `json:"attributes"`
}

// Lambda's partial batch response. It ignores the two keys that come after the identifier.
type response struct {
	BatchItemFailures []failure `json:"batchItemFailures"`
}

type failure struct {
	ItemIdentifier    string `json:"itemIdentifier"`
	RetryAfterSeconds int    `json:"retryAfterSeconds,omitempty"`
	DeadLetterReason  string `json:"deadLetterReason,omitempty"`
}

type order struct {
	ID       *string `json:"id"`
	SKU      *string `json:"sku"`
	Quantity *uint32 `json:"quantity"`
	Payment  string  `json:"payment"`
}

// notCharged is an order that may be tried again: when its visibility timeout is over, or after so many seconds.
type notCharged struct {
	reason            string
	retryAfterSeconds int
}

func (e notCharged) Error() string { return e.reason }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var batch event
	if err := json.NewDecoder(os.Stdin).Decode(&batch); err != nil {
		return fmt.Errorf("the event is not what is expected: %w", err)
	}
	if batch.Records == nil {
		return errors.New("not an SQS event: it has no list of Records")
	}
	answer := response{BatchItemFailures: []failure{}}
	for _, record := range batch.Records {
		if failed := handle(record); failed != nil {
			answer.BatchItemFailures = append(answer.BatchItemFailures, *failed)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// handle handles one message and logs one line about it. It gives the entry for batchItemFailures if the message failed.
func handle(record record) *failure {
	order, err := readOrder(record.Body)
	if err != nil {
		// Another delivery cannot mend it: ask for the dead-letter queue now.
		reason := fmt.Sprintf("malformed order: %v", err)
		fmt.Fprintf(os.Stderr, "message %s: %s\n", record.MessageID, reason)
		return &failure{ItemIdentifier: record.MessageID, DeadLetterReason: reason}
	}
	var refused notCharged
	if errors.As(charge(order, record.Attributes.ApproximateReceiveCount), &refused) {
		fmt.Fprintf(os.Stderr, "order %s: not charged: %v\n", *order.ID, refused)
		return &failure{ItemIdentifier: record.MessageID, RetryAfterSeconds: refused.retryAfterSeconds}
	}
	fmt.Fprintf(os.Stderr, "order %s: charged %d x %s\n", *order.ID, *order.Quantity, *order.SKU)
	return nil
}

// readOrder gives the order in a message's body.
func readOrder(body string) (order, error) {
	read := order{Payment: "ok"}
	if err := json.Unmarshal([]byte(body), &read); err != nil {
		return read, err
	}
	if read.ID == nil || read.SKU == nil || read.Quantity == nil {
		return read, errors.New("id, sku or quantity is missing")
	}
	if *read.Quantity == 0 {
		return read, fmt.Errorf("%s wants 0 x %s", *read.ID, *read.SKU)
	}
	switch read.Payment {
	case "ok", "flaky", "busy", "declined", "hangs":
		return read, nil
	}
	return read, fmt.Errorf("payment %q", read.Payment)
}

// charge plays the payment service. receiveCount is "1" at a message's first delivery.
func charge(order order, receiveCount string) error {
	switch {
	case order.Payment == "flaky" && receiveCount == "1":
		return notCharged{reason: "the payment service is away"}
	case order.Payment == "busy" && receiveCount == "1":
		return notCharged{reason: "the payment service is busy", retryAfterSeconds: 1}
	case order.Payment == "declined":
		return notCharged{reason: "the card was declined"}
	case order.Payment == "hangs":
		// Nothing in here ends this wait. The function's timeout does, and as on Lambda the whole batch fails with it.
		for {
		}
	}
	return nil
}
