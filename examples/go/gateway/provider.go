package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"mesura/examples/events"
)

// refused says that the provider did not take the message. The text is a code.
type refused string

func (code refused) Error() string { return string(code) }

// errUnknownFate says that nobody can say whether the message was sent.
var errUnknownFate = errors.New("it may or may not have been sent")

// provider takes JSON; put your own provider's client here. Most providers know a repetition by a key. With such a one,
// try again until valid_until if the fate of a message is unknown.
type provider struct {
	url    string
	client http.Client
}

func newProvider(url string) *provider {
	return &provider{url, http.Client{
		Timeout: 5 * time.Second,
		// A redirect would be followed with GET, which sends nothing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send has no context that a signal ends: a send that is under way is waited for.
func (provider *provider) send(approval events.Approval) error {
	body, err := json.Marshal(map[string]any{
		"decision_id": approval.DecisionID,
		"customer_id": approval.CustomerID,
		"valid_until": approval.ValidUntil,
		"obligations": approval.Obligations,
	})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(
		context.Background(), http.MethodPost, provider.url, bytes.NewReader(body),
	)
	if err != nil {
		return err
	}
	request.GetBody = nil // or net/http sends it again where a connection breaks
	request.Header.Set("content-type", "application/json")
	request.Header["Idempotency-Key"] = []string{approval.DecisionID}
	response, err := provider.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnknownFate, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body) // so that the connection can be used again
	switch {
	case response.StatusCode >= 400 && response.StatusCode < 500:
		return refused(strconv.Itoa(response.StatusCode))
	case response.StatusCode >= 300:
		return fmt.Errorf("%w: the provider answered %d", errUnknownFate, response.StatusCode)
	}
	return nil
}
