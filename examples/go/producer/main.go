// Command producer asks mesura whether customers may be contacted: one intent for each customer id that is read from
// standard input.
//
//  1. intent_id is made from the campaign and the customer, so it is the same whenever the program is run again. What
//     had arrived already is then suppressed as duplicate, and nobody is contacted twice.
//  2. The key is the customer's id. franz-go hashes it as Kafka's own clients do, or the gate would have to forward it.
//  3. The program succeeds only if every intent was acknowledged by all replicas in sync. franz-go waits for them, and
//     is idempotent, unless told otherwise.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"mesura/examples/connection"
	"mesura/examples/events"
)

// intents is the namespace of our intents' ids (RFC 9562, version 5). Make one of your own.
var intents = uuid.MustParse("5b0f8d9e-3f5c-4f0e-9d43-0c1f6d2f7a11")

func intentFor(campaign, customer, channel string) events.Intent {
	purpose := "service"
	return events.Intent{
		IntentID:   uuid.NewSHA1(intents, []byte(campaign+"/"+customer)).String(),
		CustomerID: customer,
		Channel:    channel,
		Purpose:    &purpose,
		CampaignID: &campaign,
		CreatedAt:  time.Now().UnixMilli(),
	}
}

// tally counts what became of the records. The client calls it from its own goroutine.
type tally struct {
	sync.Mutex
	acknowledged int
	refused      error
}

func (found *tally) delivered(_ *kgo.Record, err error) {
	found.Lock()
	defer found.Unlock()
	if err != nil {
		found.refused = err
		return
	}
	found.acknowledged++
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	campaign, err := connection.Required("CAMPAIGN")
	if err != nil {
		return err
	}
	mode := connection.Setting("CLOUDEVENTS", "none")
	topic, channel := connection.Setting("INTENT_TOPIC", "outbound-intent"), connection.Setting("CHANNEL", "sms")
	options, err := connection.Options()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options, kgo.RecordDeliveryTimeout(2*time.Minute))...)
	if err != nil {
		return err
	}
	defer client.Close()
	var found tally
	count := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && ctx.Err() == nil {
		customer := strings.TrimSpace(lines.Text())
		if customer == "" {
			continue
		}
		record, err := recordOf(topic, intentFor(campaign, customer, channel), mode)
		if err != nil {
			return err
		}
		count++
		client.Produce(ctx, record, found.delivered)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("interrupted (%w); run it again, the ids will be the same", err)
	}
	fmt.Printf("%d of %d intents acknowledged\n", found.acknowledged, count)
	if found.acknowledged < count {
		return fmt.Errorf("last error: %w; run it again, the ids will be the same", found.refused)
	}
	return nil
}

// recordOf is plain JSON, or a CloudEvent in one of its two modes.
func recordOf(topic string, intent events.Intent, mode string) (*kgo.Record, error) {
	record := &kgo.Record{Topic: topic, Key: []byte(intent.CustomerID)}
	if mode != "none" {
		return record, writeCloudEvent(record, intent, mode)
	}
	value, err := json.Marshal(intent)
	record.Value = value
	return record, err
}
