package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

const layerSize = 100 << 10

var errShort = errors.New("an answer of another length")

func play(name string) error {
	if rest, ok := strings.CutPrefix(name, "push-mono-"); ok {
		return playPush(name, rest, pushMono)
	}
	if rest, ok := strings.CutPrefix(name, "push-"); ok {
		return playPush(name, rest, pushStream)
	}
	if rest, ok := strings.CutPrefix(name, "pull-"); ok {
		return playPull(name, rest)
	}
	if rest, ok := strings.CutPrefix(name, "get:"); ok {
		return playStatic(name, rest)
	}
	if rest, ok := strings.CutPrefix(name, "replay:"); ok {
		return playRequests(rest)
	}
	if rest, ok := strings.CutPrefix(name, "tags-"); ok {
		if err := fillTags(rest); err != nil {
			return err
		}
		return readTags(rest)
	}
	if rest, ok := strings.CutPrefix(name, "fill-tags-"); ok {
		return fillTags(rest)
	}
	if rest, ok := strings.CutPrefix(name, "read-tags-"); ok {
		return readTags(rest)
	}
	switch name {
	case "image-push":
		return playImagePush()
	case "image-pull", "manifest-get", "manifest-head", "manifest-digest":
		return playManifests(name)
	}
	return fmt.Errorf("no scenario %q, see -help", name)
}

func playPush(figure, text string, push func(body) error) error {
	length, err := parseSize(text)
	if err != nil {
		return err
	}
	blobs := newContents(operations(stable(length)/2), length)
	measure(figure, len(blobs), length, func(i int) error { return push(blobs[i]) })
	return nil
}

func playPull(figure, text string) error {
	length, err := parseSize(text)
	if err != nil {
		return err
	}
	blobs := newContents(8, length)
	for _, blob := range blobs {
		if err := pushMono(blob); err != nil {
			return err
		}
	}
	measure(figure, operations(stable(length)), length, func(i int) error {
		got, err := get("/blobs/"+blobs[i%len(blobs)].digest(), "")
		if err == nil && got != length {
			err = errShort
		}
		return err
	})
	return nil
}

func playStatic(figure, path string) error {
	fetch := func(i int) (int64, error) {
		response, err := do("GET", *base+strings.ReplaceAll(path, "{}", strconv.Itoa(i%8)), "", nil)
		return want(200, response, err)
	}
	length, err := fetch(0)
	if err != nil {
		return err
	}
	measure(figure, operations(stable(length)), length, func(i int) error {
		got, err := fetch(i)
		if err == nil && got != length {
			err = errShort
		}
		return err
	})
	return nil
}

// request is one that another program prepared: signed, where it has to be.
type request struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// playRequests sends what a file holds, a request in JSON a line, in turn.
func playRequests(text string) error {
	figure, path, _ := strings.Cut(text, "=")
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var requests []request
	for lines := json.NewDecoder(bytes.NewReader(file)); lines.More(); {
		var next request
		if err := lines.Decode(&next); err != nil {
			return err
		}
		requests = append(requests, next)
	}
	if len(requests) == 0 {
		return fmt.Errorf("no requests in %s", path)
	}
	measure(figure, operations(len(requests)), 0, func(i int) error {
		next := requests[i%len(requests)]
		prepared, err := http.NewRequest(next.Method, *base+next.Path, strings.NewReader(next.Body))
		if err != nil {
			return err
		}
		for key, value := range next.Header {
			prepared.Header.Set(key, value)
		}
		response, err := client.Do(prepared)
		_, err = want(200, response, err)
		return err
	})
	return nil
}

func playImagePush() error {
	images := make([][]*content, operations(300))
	for i := range images {
		images[i] = newContents(3, layerSize)
	}
	measure("image-push", len(images), 3*layerSize, func(i int) error {
		for _, layer := range images[i] {
			if err := head("/blobs/"+layer.digest(), "", 404); err != nil {
				return err
			}
			if err := pushStream(layer); err != nil {
				return err
			}
		}
		_, err := pushManifest(fmt.Sprintf("t%d", i), images[i])
		return err
	})
	return nil
}

func playManifests(figure string) error {
	type image struct {
		tag, digest string
		layers      []*content
	}
	images := make([]image, 16)
	for i := range images {
		images[i].tag, images[i].layers = fmt.Sprintf("p%d", i), newContents(3, layerSize)
		for _, layer := range images[i].layers {
			if err := pushMono(layer); err != nil {
				return err
			}
		}
		digest, err := pushManifest(images[i].tag, images[i].layers)
		if err != nil {
			return err
		}
		images[i].digest = digest
	}
	byTag := func(i int) error {
		_, err := get("/manifests/"+images[i%16].tag, typeManifest)
		return err
	}
	switch figure {
	case "image-pull":
		measure(figure, operations(1500), 3*layerSize, func(i int) error {
			if err := byTag(i); err != nil {
				return err
			}
			for _, layer := range images[i%16].layers {
				got, err := get("/blobs/"+layer.digest(), "")
				if err == nil && got != layerSize {
					err = errShort
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	case "manifest-get":
		measure(figure, operations(10000), 0, byTag)
	case "manifest-head":
		measure(figure, operations(10000), 0, func(i int) error {
			return head("/manifests/"+images[i%16].tag, typeManifest, 200)
		})
	case "manifest-digest":
		measure(figure, operations(10000), 0, func(i int) error {
			_, err := get("/manifests/"+images[i%16].digest, typeManifest)
			return err
		})
	}
	return nil
}

func tag(i int) string { return fmt.Sprintf("v1.0.%d", i) }

// fillTags makes N tags, each of an image of its own over one layer.
func fillTags(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	layers := newContents(1, 1<<10)
	if err := pushMono(layers[0]); err != nil {
		return err
	}
	var group sync.WaitGroup
	failed := make(chan error, *conc)
	for w := 0; w < *conc; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := w; i < int(n); i += *conc {
				if _, err := pushManifest(tag(i), layers); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	group.Wait()
	close(failed)
	return <-failed
}

func readTags(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	page := "/tags/list?n=100&last=" + tag(int(n/2))
	length, flaw := checkPage(page, n)
	measure("tags-"+text+"-page", operations(300), 0, func(int) error {
		if flaw != nil { // a registry that cannot do this may still be measured on the rest
			return flaw
		}
		got, err := get(page, "")
		if err == nil && got != length {
			err = errShort
		}
		return err
	})
	measure("tags-"+text+"-one", operations(3000), 0, func(i int) error {
		_, err := get("/manifests/"+tag(i*7919%int(n)), typeManifest)
		return err
	})
	return nil
}

// checkPage looks once whether a page is as full as the repository allows, and returns its length in bytes.
func checkPage(path string, tags int64) (int64, error) {
	response, err := do("GET", at(path), "", nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	var list struct{ Tags []string }
	if err := json.Unmarshal(text, &list); err != nil || response.StatusCode != 200 {
		return 0, fmt.Errorf("status %d: %.200s", response.StatusCode, text)
	}
	if tags >= 1000 && len(list.Tags) != 100 {
		return 0, fmt.Errorf("a page of %d tags where 100 were asked for", len(list.Tags))
	}
	return int64(len(text)), nil
}

func newContents(n int, length int64) []*content {
	made := make([]*content, n)
	for i := range made {
		made[i] = newContent(length)
	}
	return made
}

// operations is -n, or what the scenario does by itself.
func operations(usual int) int {
	if *count > 0 {
		return *count
	}
	return usual
}

// stable is a number of operations on so many bytes that gives a stable figure: at most about 1.5 GB.
func stable(length int64) int { return int(max(16, min(2000, 1500<<20/max(1, length)))) }

func parseSize(text string) (int64, error) {
	unit := int64(1)
	digits := strings.TrimRight(text, "kmg")
	switch text[len(digits):] {
	case "":
	case "k":
		unit = 1 << 10
	case "m":
		unit = 1 << 20
	case "g":
		unit = 1 << 30
	default:
		return 0, fmt.Errorf("not a size: %q, write 100k, 10m or 1g", text)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("not a size: %q, write 100k, 10m or 1g", text)
	}
	return n * unit, nil
}
