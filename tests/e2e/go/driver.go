// Go, the original's language: google.golang.org/grpc, with what protoc makes of the original
// contract as foreign/original. See drivers.py.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"foreign/original"
)

const deadline = time.Second

type line map[string]interface{}

func show(value line) { must(json.NewEncoder(os.Stdout).Encode(value)) }

// must ends the program for what is no answer of a server.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func identified(folder, identity string) credentials.TransportCredentials {
	ca, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	must(err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AppendCertsFromPEM(ca)
	if identity != "none" {
		path := filepath.Join(folder, identity)
		pair, err := tls.LoadX509KeyPair(path+".pem", path+".key")
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config)
}

func idOf(job string) []byte {
	id, err := hex.DecodeString(job)
	must(err)
	return id
}

// output gives each chunk to take, up to the end of the stream.
func output(ctx context.Context, client original.WorkerServiceClient, job string, take func([]byte)) error {
	stream, err := client.GetOutput(ctx, &original.GetOutputRequest{JobID: idOf(job)})
	for err == nil {
		var message *original.GetOutputResponse
		if message, err = stream.Recv(); err == nil && len(message.Output) > 0 {
			take(message.Output)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func start(client original.WorkerServiceClient, command string, arguments []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	request := &original.StartRequest{CommandName: command, Arguments: arguments}
	answer, err := client.Start(ctx, request)
	if err == nil {
		show(line{"job": hex.EncodeToString(answer.JobID)})
	}
	return err
}

func query(client original.WorkerServiceClient, job string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	answer, err := client.QueryStatus(ctx, &original.QueryStatusRequest{JobID: idOf(job)})
	if err == nil {
		show(line{
			"status":   answer.JobStatus.String(),
			"exitCode": answer.ExitCode,
			"command":  append([]string{answer.CommandName}, answer.Arguments...),
		})
	}
	return err
}

func stop(client original.WorkerServiceClient, job string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := client.Stop(ctx, &original.StopRequest{JobID: idOf(job)})
	if err == nil {
		show(line{})
	}
	return err
}

func stream(client original.WorkerServiceClient, job string, seconds []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	if len(seconds) > 0 {
		limit, err := strconv.ParseFloat(seconds[0], 64)
		must(err)
		ctx, cancel = context.WithTimeout(ctx, time.Duration(limit*float64(time.Second)))
	}
	defer cancel()
	err := output(ctx, client, job, func(chunk []byte) { show(line{"output": chunk}) })
	if err == nil {
		show(line{})
	}
	return err
}

func watch(client original.WorkerServiceClient, job string, count int) (err error) {
	ends := make(chan error)
	for i := 0; i < count; i++ {
		go func() {
			size, digest := 0, sha256.New()
			end := output(context.Background(), client, job, func(chunk []byte) {
				if size == 0 {
					show(line{"watching": true})
				}
				size += len(chunk)
				digest.Write(chunk)
			})
			if end == nil {
				show(line{"size": size, "sha256": hex.EncodeToString(digest.Sum(nil))})
			}
			ends <- end
		}()
	}
	for i := 0; i < count; i++ {
		if end := <-ends; end != nil {
			err = end
		}
	}
	return err
}

func call(connection *grpc.ClientConn, method string) error {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err := connection.Invoke(ctx, method, &original.StopRequest{}, &original.StopResponse{})
	if err == nil {
		show(line{})
	}
	return err
}

func main() {
	address, folder, identity, verb, arguments := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]
	connection, err := grpc.Dial(address, grpc.WithTransportCredentials(identified(folder, identity)))
	must(err)
	defer connection.Close()
	client := original.NewWorkerServiceClient(connection)
	switch verb {
	case "start":
		err = start(client, arguments[0], arguments[1:])
	case "query":
		err = query(client, arguments[0])
	case "stop":
		err = stop(client, arguments[0])
	case "stream":
		err = stream(client, arguments[0], arguments[1:])
	case "watch":
		count, unfit := strconv.Atoi(arguments[1])
		must(unfit)
		err = watch(client, arguments[0], count)
	case "call":
		err = call(connection, arguments[0])
	}
	if err != nil {
		answer := status.Convert(err)
		show(line{"code": answer.Code(), "details": answer.Message()})
	}
}
