// Command gateway is a messaging gateway's side of the contract with mesura, small enough to copy. See docs/gateway.md.
//
//  1. A decision is acted on once: its id is claimed, on disk, right before the message is sent. If the process dies in
//     between, the message is not sent. That is the safe side: it had been counted.
//  2. What is withdrawn is not sent, also if the withdrawal was read together with the approval.
//  3. Nothing is sent after valid_until; the clock is asked right before each send.
//  4. Outcomes are reported without a transaction and acknowledged before the position is committed.
//  5. What may or may not have been sent is not reported: until a report comes, mesura counts it as sent.
//
// Several processes for one channel must share one memory, because after a rebalance one of them reads again what
// another has acted on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"mesura/examples/connection"
	"mesura/examples/events"
)

const (
	// memoryMs is how long a decision is remembered after its approval has ended. Approvals read again later than that
	// are ignored, and nothing is reported about them: whether they were sent is not known any more.
	memoryMs = 7 * 24 * 3_600_000
	// batchMax is so small that even if the provider lets every message wait, a rebalance is not held up too long.
	batchMax    = 20
	forgetEvery = time.Hour
	reportTime  = 2 * time.Minute
)

// fulfilled has the ids of the policy's obligations that are fulfilled here. A message with any other is not sent.
var fulfilled = []string{"include-opt-out"}

type gateway struct {
	channel  string
	memory   *memory
	provider *provider
}

// event is what approvals and withdrawals have in common: what is needed before it is known which one it is.
type event struct {
	Type       string `json:"type"`
	Channel    string `json:"channel"`
	DecisionID string `json:"decision_id"`
	ValidUntil int64  `json:"valid_until"`
	CustomerID string `json:"customer_id"`
	value      []byte
}

// act does what an event asks for and says what is known of its decision now; nil if nothing is.
//
// withdrawn has the decisions that are withdrawn in the same batch.
func (gateway *gateway) act(event event, withdrawn map[string]bool) (*events.Outcome, error) {
	untilMs := event.ValidUntil + memoryMs
	if event.Channel != gateway.channel || untilMs < time.Now().UnixMilli() {
		return nil, nil
	}
	switch {
	case event.Type == "withdrawn":
		// If it had not been claimed it has not been sent, and now never will be.
		if isNew, err := gateway.memory.claim(event.DecisionID, untilMs); err != nil || !isNew {
			return nil, err
		}
		return outcome(event, events.Expired), nil
	case event.Type == "approved" && !withdrawn[event.DecisionID]:
		if isNew, err := gateway.memory.claim(event.DecisionID, untilMs); err != nil || !isNew {
			return nil, err
		}
		return gateway.send(event)
	}
	return nil, nil
}

func (gateway *gateway) send(event event) (*events.Outcome, error) {
	approval, err := events.UnmarshalApproval(event.value)
	if err != nil {
		return nil, err
	}
	found := outcome(event, events.Sent)
	if found.OccurredAt > approval.ValidUntil {
		found.Type = events.Expired
		return found, nil
	}
	for _, obligation := range approval.Obligations {
		if !slices.Contains(fulfilled, obligation) {
			slog.Error("not sent: an obligation that we do not fulfil", "obligation", obligation)
			return failed(found, "unfulfilled_obligation"), nil
		}
	}
	var code refused
	switch err := gateway.provider.send(approval); {
	case errors.As(err, &code):
		return failed(found, string(code)), nil
	case errors.Is(err, errUnknownFate):
		slog.Warn("not reported", "decision", event.DecisionID, "error", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	return found, nil
}

func outcome(event event, kind events.OutcomeType) *events.Outcome {
	return &events.Outcome{
		CustomerID: event.CustomerID,
		DecisionID: &event.DecisionID,
		Type:       kind,
		OccurredAt: time.Now().UnixMilli(),
	}
}

func failed(outcome *events.Outcome, detail string) *events.Outcome {
	outcome.Type, outcome.Detail = events.Failed, &detail
	return outcome
}

// serve reads, sends and reports, until ctx ends.
func (gateway *gateway) serve(ctx context.Context, client *kgo.Client, outcomeTopic string) error {
	var forgotten time.Time
	for ctx.Err() == nil {
		if time.Since(forgotten) > forgetEvery {
			if err := gateway.memory.forget(time.Now().UnixMilli()); err != nil {
				return err
			}
			forgotten = time.Now()
		}
		fetches := client.PollRecords(ctx, batchMax)
		for _, failure := range fetches.Errors() {
			if !errors.Is(failure.Err, context.Canceled) {
				return fmt.Errorf("reading partition %d of %s: %w", failure.Partition, failure.Topic, failure.Err)
			}
		}
		isComplete, err := gateway.batch(ctx, client, fetches.Records(), outcomeTopic)
		if err != nil {
			return err
		}
		if isComplete {
			commit(client)
		}
		client.AllowRebalance()
	}
	return nil
}

// batch acts on records in order. Told to stop, it leaves the rest: that is read again, and what was claimed is not sent
// again.
func (gateway *gateway) batch(
	ctx context.Context, client *kgo.Client, records []*kgo.Record, outcomeTopic string,
) (isComplete bool, err error) {
	batch, withdrawn := make([]event, len(records)), map[string]bool{}
	for index, record := range records {
		if err := json.Unmarshal(record.Value, &batch[index]); err != nil {
			return false, fmt.Errorf("partition %d, offset %d: %w", record.Partition, record.Offset, err)
		}
		batch[index].value = record.Value
		withdrawn[batch[index].DecisionID] = withdrawn[batch[index].DecisionID] || batch[index].Type == "withdrawn"
	}
	var reports []*kgo.Record
	isComplete = true
	for _, event := range batch {
		if ctx.Err() != nil {
			isComplete = false
			break
		}
		outcome, err := gateway.act(event, withdrawn)
		if err != nil {
			return false, err
		}
		if outcome == nil {
			continue
		}
		value, err := outcome.Marshal()
		if err != nil {
			return false, err
		}
		reports = append(reports, &kgo.Record{Topic: outcomeTopic, Key: []byte(outcome.CustomerID), Value: value})
	}
	// Also what was sent while we were told to stop is reported.
	reporting, cancel := context.WithTimeout(context.Background(), reportTime)
	defer cancel()
	return isComplete, client.ProduceSync(reporting, reports...).FirstErr()
}

func commit(client *kgo.Client) {
	committing, cancel := context.WithTimeout(context.Background(), reportTime)
	defer cancel()
	if err := client.CommitUncommittedOffsets(committing); err != nil {
		// Somebody else may have the partition now and read these again; the memory knows them.
		slog.Warn("read, and not committed", "error", err)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	url, err := connection.Required("PROVIDER_URL")
	if err != nil {
		return err
	}
	channel := connection.Setting("CHANNEL", "sms")
	sessionMs, err := strconv.Atoi(connection.Setting("SESSION_TIMEOUT_MS", "45000"))
	if err != nil {
		return fmt.Errorf("SESSION_TIMEOUT_MS: %w", err)
	}
	options, err := connection.Options()
	if err != nil {
		return err
	}
	memory, err := openMemory(connection.Setting("MEMORY", "gateway.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, memory.close()) }()
	// All acknowledgements, idempotence and murmur2 are franz-go's defaults. No transactional id: mesura waits for what
	// is acknowledged here, and an open transaction would hold it back.
	client, err := kgo.NewClient(append(options,
		kgo.ConsumerGroup(connection.Setting("GROUP", "gateway-"+channel)),
		kgo.ConsumeTopics(connection.Setting("APPROVED_TOPIC", "approved-send")),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // or approvals would be read that never came to be
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), // until a batch is done
		// How soon another process takes over from one that died without leaving the group.
		kgo.SessionTimeout(time.Duration(sessionMs)*time.Millisecond),
		kgo.RebalanceTimeout(5*time.Minute),
	)...)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	gateway := &gateway{channel, memory, newProvider(url)}
	return gateway.serve(ctx, client, connection.Setting("OUTCOME_TOPIC", "contact-outcome"))
}
