package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// noise is what all content is made of.
var noise = make([]byte, 4<<20)

// body is what a request sends. It can be opened again, for a connection that the server closed while it was idle.
type body interface {
	open() io.Reader
	size() int64
	digest() string
}

// raw is a body in memory.
type raw []byte

func (b raw) open() io.Reader { return bytes.NewReader(b) }
func (b raw) size() int64     { return int64(len(b)) }
func (b raw) digest() string  { return name(sha256.Sum256(b)) }

// content is a body that no other call has: a unique head before noise, made while it is read, so that any number of
// any size takes no memory.
type content struct {
	head   [16]byte
	length int64
	sum    string
}

func newContent(length int64) *content {
	c := &content{length: length}
	rand.Read(c.head[:])
	hash := sha256.New()
	_, err := io.Copy(hash, c.open())
	must(err)
	c.sum = name([32]byte(hash.Sum(nil)))
	return c
}

func (c *content) open() io.Reader { return &reader{content: c} }
func (c *content) size() int64     { return c.length }
func (c *content) digest() string  { return c.sum }

type reader struct {
	content *content
	at      int64
}

func (r *reader) Read(p []byte) (int, error) {
	left := r.content.length - r.at
	if left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	source := noise[r.at%int64(len(noise)):]
	if r.at < int64(len(r.content.head)) {
		source = r.content.head[r.at:]
	}
	n := copy(p, source)
	r.at += int64(n)
	return n, nil
}

func name(sum [32]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }
