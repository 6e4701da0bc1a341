package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// result is one line of the output. MB are millions of bytes.
type result struct {
	Figure     string  `json:"figure"`
	Operations int     `json:"operations"`
	AtOnce     int     `json:"at_once"`
	Errors     int     `json:"errors"`
	FirstError string  `json:"first_error"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"per_second"`
	MBPerS     float64 `json:"mb_per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	CPU        float64 `json:"server_cpu_seconds"`
	Peak       float64 `json:"server_peak_mb"`
}

// measure runs an operation n times, several at once, and prints the figure. `each` is the number of bytes of one.
func measure(figure string, n int, each int64, operation func(i int) error) {
	var next, failed atomic.Int64
	var first atomic.Value
	latencies := make([]float64, n)
	var group sync.WaitGroup
	cpu, _ := usage()
	begun := time.Now()
	for w := 0; w < *conc; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := operation(i); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
				latencies[i] = time.Since(start).Seconds() * 1000
			}
		}()
	}
	group.Wait()
	seconds := time.Since(begun).Seconds()
	used, peak := usage()
	sort.Float64s(latencies)
	message, _ := first.Load().(string)
	line, err := json.Marshal(result{
		Figure: figure, Operations: n, AtOnce: *conc, Errors: int(failed.Load()), FirstError: message,
		Seconds: round(seconds), PerSecond: round(float64(n) / seconds), MBPerS: round(float64(n) * float64(each) / seconds / 1e6),
		P50: round(latencies[n/2]), P99: round(latencies[min(n-1, n*99/100)]), CPU: round(used - cpu), Peak: round(peak),
	})
	must(err)
	fmt.Println(string(line))
}

func round(value float64) float64 { return math.Round(value*1000) / 1000 }

// usage gives the CPU seconds and the summed peaks of resident memory (MB) of the server's processes.
func usage() (cpu, peak float64) {
	for _, pid := range processes() {
		fields := statOf(pid)
		if len(fields) < 13 {
			continue
		}
		for _, field := range fields[11:13] { // utime and stime, in ticks of 10 ms
			ticks, _ := strconv.ParseFloat(field, 64)
			cpu += ticks / 100
		}
		status, _ := os.ReadFile("/proc/" + pid + "/status")
		for _, line := range strings.Split(string(status), "\n") {
			if strings.HasPrefix(line, "VmHWM:") {
				kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
				peak += kib * 1024 / 1e6
			}
		}
	}
	return cpu, peak
}

// processes are those of -pid and all their descendants.
func processes() []string {
	if *pids == "" {
		return nil
	}
	children := map[string][]string{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid := filepath.Base(entry)
		if fields := statOf(pid); len(fields) > 1 {
			children[fields[1]] = append(children[fields[1]], pid)
		}
	}
	found := strings.Split(*pids, ",")
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// statOf gives the fields of /proc/PID/stat from the third (the state) on.
func statOf(pid string) []string {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}
