package main

import (
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// memory remembers which decisions were acted on, in a file of this process's own. Where several processes serve a
// channel they need one that they share, such as a table of a database with the decision as its primary key.
type memory struct {
	file *bbolt.DB
}

var claimed = []byte("claimed")

func openMemory(path string) (*memory, error) {
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	err = file.Update(func(transaction *bbolt.Tx) error {
		_, err := transaction.CreateBucketIfNotExists(claimed)
		return err
	})
	return &memory{file}, err
}

// claim remembers a decision until then, durably, before it returns; whether nobody had claimed it.
func (memory *memory) claim(decision string, untilMs int64) (isNew bool, err error) {
	err = memory.file.Update(func(transaction *bbolt.Tx) error {
		bucket := transaction.Bucket(claimed)
		if isNew = bucket.Get([]byte(decision)) == nil; !isNew {
			return nil
		}
		return bucket.Put([]byte(decision), binary.BigEndian.AppendUint64(nil, uint64(untilMs)))
	})
	return isNew, err
}

// forget forgets what has had its time. It looks at everything, so it is not called for each batch.
func (memory *memory) forget(nowMs int64) error {
	return memory.file.Update(func(transaction *bbolt.Tx) error {
		cursor := transaction.Bucket(claimed).Cursor()
		for key, until := cursor.First(); key != nil; key, until = cursor.Next() {
			if int64(binary.BigEndian.Uint64(until)) < nowMs {
				if err := cursor.Delete(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (memory *memory) close() error {
	return memory.file.Close()
}
