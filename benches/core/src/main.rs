//! What the pure core does for a message, to count the instructions of: `core-instructions CASE COUNT` does one thing so
//! often, and without arguments the program says what there is. `scripts/instructions` runs each case twice under
//! valgrind; the difference is what the case costs, without its beginning.
//!
//! Helpers unwrap: a measurement that can't go on has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "see above")]
#![allow(clippy::print_stdout, reason = "the names are what this program is asked for")]
// Of the core only what a message needs is used here.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "the rest of the core is used by the broker")]

#[path = "../../../src/broker/mod.rs"]
mod broker;
#[path = "../../../src/protocol/mod.rs"]
mod protocol;

mod codec;
mod house;
mod steps;

/// One thing to do so often.
struct Case {
    name: &'static str,
    run: fn(u32),
}

const CASES: &[Case] = &[
    Case { name: "decode-publish", run: codec::decode_publish },
    Case { name: "decode-publish-with-properties", run: codec::decode_publish_with_properties },
    Case { name: "encode-publish", run: codec::encode_publish },
    Case { name: "verdict-of-20-rules", run: steps::verdict },
    Case { name: "pair-qos-0", run: steps::pair_qos_0 },
    Case { name: "pair-qos-1", run: steps::pair_qos_1 },
    Case { name: "pair-qos-2", run: steps::pair_qos_2 },
    Case { name: "fan-out-100", run: steps::fan_out },
    Case { name: "from-another-shard", run: steps::from_another_shard },
    Case { name: "route-10", run: steps::route_10 },
    Case { name: "route-1000", run: steps::route_1000 },
    Case { name: "route-100000", run: steps::route_100000 },
    Case { name: "subscribe-and-unsubscribe", run: steps::subscribe_and_unsubscribe },
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &arguments[..] else {
        return CASES.iter().for_each(|case| println!("{}", case.name));
    };
    let case = CASES.iter().find(|case| case.name == name).expect("one of the names that are told without arguments");
    (case.run)(count.parse().expect("how often"));
}
