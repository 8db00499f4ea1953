"""Eclipse Paho as a command: what tests/it/interop.rs asks of a client, in its own words.

    paho_client.py subscribe|publish|linger --port N --version 3|5 ...

`subscribe` prints "ready" once it is subscribed, then every payload in hex, and ends after --count of them.
`publish` publishes the hex lines of its standard input and ends when all of them are acknowledged.
`linger` connects with a will, prints "ready" and waits to be killed.
"""

import argparse
import sys
import threading

import paho.mqtt.client as mqtt

PATIENCE = 20


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["subscribe", "publish", "linger"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", type=int, choices=[3, 5], required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--count", type=int, default=1)
    return parser.parse_args()


def connect(args):
    protocol = mqtt.MQTTv5 if args.version == 5 else mqtt.MQTTv311
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.client_id, protocol=protocol)
    client.tls_set(ca_certs=args.ca, certfile=args.cert, keyfile=args.key)
    if args.user is not None:
        client.username_pw_set(args.user, args.password)
    if args.task == "linger":
        client.will_set(args.topic, "gone", qos=args.qos, retain=args.retain)
    connected = threading.Event()
    refused = []

    def on_connect(_client, _data, _flags, reason, _properties):
        if reason.is_failure:
            refused.append(reason)
        connected.set()

    client.on_connect = on_connect
    client.connect("localhost", args.port)
    client.loop_start()
    if not connected.wait(PATIENCE):
        sys.exit("no CONNACK")
    if refused:
        sys.exit(f"refused: {refused[0]}")
    return client


def ready():
    print("ready", flush=True)


def subscribe(args, client):
    done = threading.Event()
    left = [args.count]

    def on_message(_client, _data, message):
        print(message.payload.hex(), flush=True)
        left[0] -= 1
        if left[0] == 0:
            done.set()

    client.on_message = on_message
    client.on_subscribe = lambda *_: ready()
    client.subscribe(args.topic, qos=args.qos)
    if not done.wait(PATIENCE):
        sys.exit(f"{left[0]} messages are missing")
    # The acknowledgement of the last message goes out before the goodbye.
    client.disconnect()


def publish(args, client):
    for line in sys.stdin:
        sent = client.publish(args.topic, bytes.fromhex(line), qos=args.qos, retain=args.retain)
        sent.wait_for_publish(PATIENCE)
        if not sent.is_published():
            sys.exit("a message was not acknowledged")
    client.disconnect()


def linger(_args, _client):
    ready()
    threading.Event().wait()


if __name__ == "__main__":
    ARGS = arguments()
    CLIENT = connect(ARGS)
    {"subscribe": subscribe, "publish": publish, "linger": linger}[ARGS.task](ARGS, CLIENT)
    CLIENT.loop_stop()
