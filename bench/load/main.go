// Load measures a container registry from the outside: it plays one or more scenarios of the OCI Distribution protocol
// against a server that is running, with a fixed number of connections, and prints one JSON line per measured figure.
// It needs nothing of the server but its address and, where it asks for them, a user and a password; so every registry
// is measured by the same client. Only Go's standard library is used.
//
//	load -url http://127.0.0.1:5000 -user AWS -pass "$TOKEN" -repo load/one -pid $SERVER_PID -scenario image-push,pull-10m
//
// What a scenario needs (content and its digests, blobs to pull, tags to list) is made before its clock starts.
//
//	push-SIZE        blobs of SIZE as docker pushes them: POST, PATCH, PUT
//	push-mono-SIZE   the same in two requests: POST, PUT
//	pull-SIZE        GET of eight blobs in turn
//	image-push       images of three layers of 100 KiB, a config and a manifest, with docker's HEADs
//	image-pull       a manifest by tag and its three layers
//	manifest-get     GET of a manifest by tag; manifest-head: HEAD; manifest-digest: GET by digest
//	tags-N           a repository of N tags: pages of 100 tags from the middle, then single tags.
//	                 fill-tags-N only makes the tags, read-tags-N only measures
//	replay:NAME=FILE requests that another program prepared, in turn, answered by 200: in JSON with method, path, header, body
//	get:/PATH        any path, for a server of static files; {} in it becomes 0 to 7 in turn
//
// SIZE and N are written as 100k, 10m, 1g.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	base     = flag.String("url", "http://127.0.0.1:5000", "root of the registry")
	user     = flag.String("user", "", "user of Basic authentication")
	pass     = flag.String("pass", "", "password of Basic authentication")
	bearer   = flag.String("bearer", "", "a Bearer token, instead of user and password")
	scenario = flag.String("scenario", "image-push,image-pull,manifest-get", "scenarios, comma-separated")
	conc     = flag.Int("c", 8, "operations at once, each on a connection of its own")
	count    = flag.Int("n", 0, "operations (0: what the scenario needs to be stable)")
	repo     = flag.String("repo", "load/one", "repository")
	pids     = flag.String("pid", "", "the server's process ids, comma-separated, for its CPU time and memory; children are added")
)

var client *http.Client

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func main() {
	flag.Parse()
	if flag.NArg() > 0 {
		must(fmt.Errorf("unexpected argument %q, see -help", flag.Arg(0)))
	}
	rand.Read(noise)
	client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: *conc,
		DisableCompression:  true,
		WriteBufferSize:     256 << 10,
		ReadBufferSize:      256 << 10,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}}
	for _, name := range strings.Split(*scenario, ",") {
		must(play(name))
	}
}
