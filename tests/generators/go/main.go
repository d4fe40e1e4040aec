// Reads {"form": …, "text": …} a line, reads the text into the form's type, and writes it again.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"mesura/generators/events"
)

type document struct {
	Form string `json:"form"`
	Text string `json:"text"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var read document
		if err := json.Unmarshal(lines.Bytes(), &read); err != nil {
			panic(err)
		}
		kind, text, err := roundTrip(read.Form, []byte(read.Text))
		answer := map[string]string{"kind": kind, "text": string(text)}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}

func roundTrip(form string, text []byte) (string, []byte, error) {
	switch form {
	case "readers/approved":
		return roundTripByType(text)
	case "readers/approval":
		return through[events.Approval](text)
	case "readers/withdrawal":
		return through[events.Withdrawal](text)
	case "readers/suppressed":
		return through[events.Suppression](text)
	case "readers/policy-record":
		return through[events.PolicyRecord](text)
	case "readers/decision.headers":
		return through[events.HeadersOfAnOutput](text)
	case "readers/dead-letter.headers":
		return through[events.HeadersOfADeadLetter](text)
	case "writers/intent":
		return through[events.Intent](text)
	case "writers/preference-event":
		return through[events.PreferenceEvent](text)
	case "writers/outcome":
		return through[events.Outcome](text)
	}
	return "", nil, fmt.Errorf("no type for %s", form)
}

// What a reader of approved-send does: `type` first, then the type that belongs to it.
func roundTripByType(text []byte) (string, []byte, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return "", nil, err
	}
	switch head.Type {
	case string(events.Approved):
		return through[events.Approval](text)
	case string(events.Withdrawn):
		return through[events.Withdrawal](text)
	}
	return "", nil, fmt.Errorf("an event of type %q", head.Type)
}

// By value, as most programs marshal: a union with a marshaller of its own would be lost here.
func through[Event any](text []byte) (string, []byte, error) {
	var event Event
	if err := json.Unmarshal(text, &event); err != nil {
		return "", nil, err
	}
	written, err := json.Marshal(event)
	return fmt.Sprintf("%T", event), written, err
}
