package inspector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	loomv1 "loom/api/loom/v1"
	"loom/internal/capture"
	"loom/internal/decode"
	"loom/internal/reflectcache"
)

const testToken = "a-token-of-this-test"

// rig is an inspector over real TCP, and a browser that may be logged in.
type rig struct {
	t       *testing.T
	server  *Server
	store   *capture.Store
	schemas *fakeSchemas
	address string
	base    string
	cookie  string // sent if not empty
	client  *http.Client
}

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	store, err := capture.New(capture.Options{Generation: 7, Calls: 1000, Bytes: 16 << 20, MessageBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	schemas := newFakeSchemas(t)
	o := Options{
		RecordsOptions: RecordsOptions{Store: store, Decoder: decode.New(decode.Limits{}, nil), Schemas: schemas},
		Address:        l.Addr().String(), Token: testToken, Log: zap.NewNop(),
		Info: Info{Generation: 7, Version: "test", Listeners: []ListenerView{{Name: "plain", Address: "127.0.0.1:9999"}}},
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	transport := &http.Transport{}
	r := &rig{
		t: t, server: s, store: store, schemas: schemas, address: l.Addr().String(), base: "http://" + l.Addr().String(),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       20 * time.Second,
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		transport.CloseIdleConnections()
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	r.cookie = s.auth.name + "=" + s.auth.value
	return r
}

// request makes a request that change may bend.
func (r *rig) request(method, path, body string, change func(*http.Request)) *answered {
	r.t.Helper()
	q, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.cookie != "" {
		q.Header.Set("Cookie", r.cookie)
	}
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(q)
	}
	res, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &answered{t: r.t, status: res.StatusCode, header: res.Header, body: data}
}

func (r *rig) get(path string) *answered { return r.request(http.MethodGet, path, "", nil) }

func (r *rig) post(path, body string) *answered {
	return r.request(http.MethodPost, path, body, nil)
}

// add puts a call in the store.
func (r *rig) add(c *loomv1.Call) *loomv1.Call {
	r.t.Helper()
	if err := r.store.Add(c); err != nil {
		r.t.Fatal(err)
	}
	return c
}

type answered struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

func (a *answered) want(status int) *answered {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

func (a *answered) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%v in %s", err, a.body)
	}
}

// problem returns the error sentence of an answer.
func (a *answered) problem() string {
	a.t.Helper()
	var v struct{ Error string }
	a.into(&v)
	if v.Error == "" {
		a.t.Fatalf("no error in %s", a.body)
	}
	return v.Error
}

// fakeSchemas knows one service of backend "users".
type fakeSchemas struct {
	file    protoreflect.FileDescriptor
	changes []reflectcache.Change
	down    bool
	hangs   bool
}

// newFakeSchemas makes acme.Users with Get (unary) and Watch (streams) of
// acme.User{name, email, age, boss}.
func newFakeSchemas(t *testing.T) *fakeSchemas {
	t.Helper()
	str := descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
	num := descriptorpb.FieldDescriptorProto_TYPE_INT64.Enum()
	msg := descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	opt := descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("acme/users.proto"), Package: new("acme"), Syntax: new("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: new("User"), Field: []*descriptorpb.FieldDescriptorProto{
				{Name: new("name"), JsonName: new("name"), Number: new(int32(1)), Type: str, Label: opt},
				{Name: new("email"), JsonName: new("email"), Number: new(int32(2)), Type: str, Label: opt},
				{Name: new("age"), JsonName: new("age"), Number: new(int32(3)), Type: num, Label: opt},
				{Name: new("boss"), JsonName: new("boss"), Number: new(int32(4)), Type: msg, Label: opt, TypeName: new(".acme.User")},
			},
		}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: new("Users"), Method: []*descriptorpb.MethodDescriptorProto{
				{Name: new("Get"), InputType: new(".acme.User"), OutputType: new(".acme.User")},
				{Name: new("Watch"), InputType: new(".acme.User"), OutputType: new(".acme.User"), ServerStreaming: new(true)},
			},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeSchemas{file: file}
}

func (f *fakeSchemas) Method(ctx context.Context, backend, path string) (*decode.Method, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if f.down || backend != "users" || service != "acme.Users" {
		return nil, errors.New("backend " + backend + " has no reflection")
	}
	m := f.file.Services().Get(0).Methods().ByName(protoreflect.Name(method))
	if m == nil {
		return nil, errors.New("no such method")
	}
	return &decode.Method{Desc: m, Types: f.Types(backend), Source: decode.FromReflection}, nil
}

func (f *fakeSchemas) Service(_ context.Context, backend, service string) (protoreflect.ServiceDescriptor, decode.Source, error) {
	if f.down || backend != "users" || service != "acme.Users" {
		return nil, 0, errors.New("backend " + backend + " does not know service " + service)
	}
	return f.file.Services().Get(0), decode.FromReflection, nil
}

func (f *fakeSchemas) Services(context.Context, string) ([]string, error) {
	if f.down {
		return nil, errors.New("the backend has no reflection")
	}
	return []string{"acme.Users", "acme.Broken"}, nil
}

func (f *fakeSchemas) Types(string) decode.Resolver {
	types := new(protoregistry.Types)
	if err := types.RegisterMessage(dynamicpb.NewMessageType(f.file.Messages().Get(0))); err != nil {
		return nil
	}
	return types
}

func (f *fakeSchemas) Changes() []reflectcache.Change { return f.changes }
func (f *fakeSchemas) Problems(string) []string       { return []string{"file acme/x.proto is missing"} }

func (f *fakeSchemas) FileSet(string, ...string) (*descriptorpb.FileDescriptorSet, error) {
	return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(f.file)}}, nil
}

// user is the wire form of a message of type acme.User.
func (f *fakeSchemas) user(t *testing.T, js string) []byte {
	t.Helper()
	data, err := decode.New(decode.Limits{}, nil).Encode(f.file.Messages().Get(0), f.Types(""), []byte(js))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// aCall is a unary call of backend users that was answered OK.
func (r *rig) aCall(id, request, response string) *loomv1.Call {
	r.t.Helper()
	up, down := r.schemas.user(r.t, request), r.schemas.user(r.t, response)
	ms := func(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }
	return &loomv1.Call{
		Id: id, State: loomv1.CallState_CALL_STATE_ENDED, Path: "/acme.Users/Get", Authority: "users.test", Peer: "127.0.0.1:4711",
		Route: "all", Backend: "users", Endpoint: "127.0.0.1:5001", Kind: loomv1.StreamKind_STREAM_KIND_UNARY,
		Attempts: []*loomv1.Attempt{{Backend: "users", Endpoint: "127.0.0.1:5001", At: ms(1)}},
		Start:    timestamppb.New(time.Unix(1_800_000_000, 0)),
		Timings:  &loomv1.Timings{FirstRequestByte: ms(1), ResponseHeaders: ms(10), FirstResponseMessage: ms(12), LastByte: ms(12), End: ms(14)},
		RequestHeaders: []*loomv1.Metadata{
			text(":path", "/acme.Users/Get"), text("content-type", "application/grpc"), text("authorization", "Bearer s3cret"),
			text("x-tier", "gold"), text("x-trace-bin", "aGVsbG8"),
		},
		ResponseHeaders: []*loomv1.Metadata{text("content-type", "application/grpc")},
		Trailers:        []*loomv1.Metadata{text("grpc-status", "0")},
		Request:         &loomv1.Traffic{Messages: 1, Bytes: uint64(len(up) + 5)},
		Response:        &loomv1.Traffic{Messages: 1, Bytes: uint64(len(down) + 5)},
		Messages: []*loomv1.Message{
			{Direction: loomv1.Direction_DIRECTION_REQUEST, Sequence: 1, FirstByte: ms(1), LastByte: ms(1), Size: uint64(len(up)), Data: up},
			{Direction: loomv1.Direction_DIRECTION_RESPONSE, Sequence: 1, FirstByte: ms(12), LastByte: ms(12), Size: uint64(len(down)), Data: down},
		},
		Status: &loomv1.Status{}, EndedBy: loomv1.Ender_ENDER_BACKEND,
	}
}

func text(name, value string) *loomv1.Metadata {
	return &loomv1.Metadata{Name: name, Content: &loomv1.Metadata_Text{Text: value}}
}

// compact removes the blanks that protojson varies.
func compact(t *testing.T, js []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, js); err != nil {
		t.Fatalf("%v in %s", err, js)
	}
	return out.String()
}
