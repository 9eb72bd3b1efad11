package adminclient

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	loomv1 "loom/api/loom/v1"
)

// maxAnswer bounds an answer in bytes: ten thousand rows of calls, or the
// decoded messages of one, stay below it.
const maxAnswer = 32 << 20

// Client is a connection to a loomd. It is safe for concurrent use.
type Client struct {
	loomv1.AdminClient

	// Immutable.
	socket string
	conn   *grpc.ClientConn
}

// Dial finds a loomd and connects to it. named is the socket that the user
// asked for; empty: the one that the environment names, else the first of the
// usual places that answers. The error is an *UnreachableError, a *DeniedError,
// or another if ctx ended.
func Dial(ctx context.Context, named string, e Environment) (*Client, error) {
	socket, err := find(ctx, named, e)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///loomd",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the kernel says who is at each end
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	return &Client{AdminClient: loomv1.NewAdminClient(conn), socket: socket, conn: conn}, nil
}

// Socket is the path of the socket.
func (c *Client) Socket() string { return c.socket }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
