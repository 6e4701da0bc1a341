package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeBytes    = "application/octet-stream"
)

// do sends one request; kind is the media type of what it sends, or of what it accepts where it sends nothing.
func do(method, target, kind string, b body) (*http.Response, error) {
	request, err := http.NewRequest(method, target, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case b != nil:
		request.Header.Set("Content-Type", kind)
		request.ContentLength = b.size()
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(b.open()), nil }
		request.Body, _ = request.GetBody()
	case kind != "":
		request.Header.Set("Accept", kind)
	}
	if *bearer != "" {
		request.Header.Set("Authorization", "Bearer "+*bearer)
	} else if *user != "" {
		request.SetBasicAuth(*user, *pass)
	}
	return client.Do(request)
}

// want reads an answer to its end and returns how many bytes it had; another status than the wanted one is an error.
func want(status int, response *http.Response, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 400))
		return 0, fmt.Errorf("%s %s: status %d: %s", response.Request.Method, response.Request.URL.Path, response.StatusCode, text)
	}
	return io.Copy(io.Discard, response.Body)
}

// get fetches a path below the repository.
func get(path, accept string) (int64, error) {
	response, err := do("GET", at(path), accept, nil)
	return want(200, response, err)
}

func head(path, accept string, status int) error {
	response, err := do("HEAD", at(path), accept, nil)
	_, err = want(status, response, err)
	return err
}

func at(path string) string { return *base + "/v2/" + *repo + path }

// location is where an upload goes on.
func location(status int, response *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	next, parsed := response.Location()
	if _, err := want(status, response, nil); err != nil {
		return "", err
	}
	if parsed != nil {
		return "", parsed
	}
	return next.String(), nil
}

func withDigest(target, digest string) string {
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + "digest=" + url.QueryEscape(digest)
}

// pushStream pushes a blob as docker does.
func pushStream(b body) error {
	response, err := do("POST", at("/blobs/uploads/"), "", nil)
	next, err := location(202, response, err)
	if err != nil {
		return err
	}
	response, err = do("PATCH", next, typeBytes, b)
	next, err = location(202, response, err)
	if err != nil {
		return err
	}
	response, err = do("PUT", withDigest(next, b.digest()), "", nil)
	_, err = want(201, response, err)
	return err
}

// pushMono pushes a blob in two requests.
func pushMono(b body) error {
	response, err := do("POST", at("/blobs/uploads/"), "", nil)
	next, err := location(202, response, err)
	if err != nil {
		return err
	}
	response, err = do("PUT", withDigest(next, b.digest()), typeBytes, b)
	_, err = want(201, response, err)
	return err
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

func describe(kind string, b body) descriptor { return descriptor{kind, b.digest(), b.size()} }

// pushManifest pushes a config and a manifest over layers that are there, and returns the manifest's digest.
func pushManifest(tag string, layers []*content) (string, error) {
	described := make([]descriptor, len(layers))
	digests := make([]string, len(layers))
	for i, layer := range layers {
		described[i], digests[i] = describe(typeLayer, layer), layer.digest()
	}
	config := raw(fmt.Sprintf(
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"created":"2026-01-01T00:00:00Z","author":%q,"comment":%q}`,
		tag, strings.Join(digests, " ")))
	if err := pushMono(config); err != nil {
		return "", err
	}
	text, err := json.Marshal(manifest{2, typeManifest, describe(typeConfig, config), described})
	if err != nil {
		return "", err
	}
	b := raw(text)
	response, err := do("PUT", at("/manifests/"+tag), typeManifest, b)
	_, err = want(201, response, err)
	return b.digest(), err
}
