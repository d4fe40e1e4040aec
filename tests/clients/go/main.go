// The Go team of `make clients`: called with the file of a task; publishes its runs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
)

// Task is what the campaign asks of a client; tests/clients/plan.py says what each word means.
type Task struct {
	BootstrapServers string `json:"bootstrap_servers"`
	Topics           struct {
		Intents     string `json:"intents"`
		Preferences string `json:"preferences"`
		Outcomes    string `json:"outcomes"`
	} `json:"topics"`
	Client  string `json:"client"`
	Results string `json:"results"`
	Runs    []Run  `json:"runs"`
}

// Run is one way of publishing.
type Run struct {
	Name            string `json:"name"`
	Library         string `json:"library"`
	Codec           string `json:"codec"`
	Partitioner     string `json:"partitioner"`
	NoesPartitioner string `json:"noes_partitioner"`
	IsTransactional bool   `json:"is_transactional"`
	Form            string `json:"form"`
	Time            string `json:"time"`
	CustomerPrefix  string `json:"customer_prefix"`
	Customers       int    `json:"customers"`
	Wave            int    `json:"wave"`
}

// Results takes what the client did, as lines of JSON for the campaign.
type Results struct {
	file   *os.File
	writer *bufio.Writer
}

func (results *Results) write(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = results.writer.Write(append(text, '\n'))
	return err
}

func (results *Results) close() error {
	if err := results.writer.Flush(); err != nil {
		return err
	}
	return results.file.Close()
}

func main() {
	if err := work(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var task Task
	if err := json.Unmarshal(text, &task); err != nil {
		return err
	}
	file, err := os.Create(task.Results)
	if err != nil {
		return err
	}
	results := &Results{file, bufio.NewWriter(file)}
	for _, run := range task.Runs {
		if err := publish(ctx, &task, &run, results); err != nil {
			return fmt.Errorf("%s: %w", run.Name, err)
		}
	}
	return results.close()
}
