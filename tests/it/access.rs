//! Who may what: logins, rules, and what changes of them do to clients that are there.
//!
//! A change holds when its command returns, so nothing here waits for one.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::wire::{self, Connect, Packet, Publish, Request, Will};
use std::time::{Duration, Instant};

/// A broker that asks for passwords, with Alice the teacher and Bob and Carol the students.
fn school() -> Broker {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    broker.add_user("alice", "Teacher", "alice's secret");
    broker.add_user("bob", "Student", "bob's secret");
    broker.add_user("carol", "Student", "carol's secret");
    broker
}

fn login(connect: Connect, user: &str) -> Connect {
    connect.login(user, &format!("{user}'s secret"))
}

fn v5(broker: &Broker, user: &str) -> Client {
    broker.connect(&login(Connect::v5(&format!("{user}'s device")), user))
}

fn v311(broker: &Broker, user: &str) -> Client {
    broker.connect(&login(Connect::v311(&format!("{user}'s old device")), user))
}

/// [v5:MQTT-3.1.4-1] [v311:MQTT-3.1.4-1]: a wrong password, an unknown user and none at all.
#[test]
fn only_who_proves_who_he_is_gets_in() {
    let broker = school();
    v5(&broker, "alice").ping();
    v311(&broker, "alice").ping();
    for (user, password) in
        [("alice", "wrong"), ("alice", ""), ("mallory", "alice's secret"), ("Alice", "alice's secret")]
    {
        assert_eq!(broker.refused(&Connect::v5("x").login(user, password)).code, 0x86, "{user}, {password}");
        assert_eq!(broker.refused(&Connect::v311("x").login(user, password)).code, 4, "{user}, {password}");
    }
    assert_eq!(broker.refused(&Connect::v5("x")).code, 0x87);
    assert_eq!(broker.refused(&Connect::v311("x")).code, 5);
    assert_eq!(broker.refused(&Connect::v31("x")).code, 5);
}

/// A user name alone proves nothing.
#[test]
fn a_user_name_without_password_is_refused() {
    let broker = school();
    let mut connect = Connect::v5("x");
    connect.user = Some("alice".into());
    let code = broker.refused(&connect).code;
    assert!([0x86, 0x87].contains(&code), "{code:#04x}");
}

/// `auth.anonymous_role` lets clients without credentials in, with that role and no more; a wrong password stays wrong.
#[test]
fn clients_without_credentials_may_be_given_a_role() {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").set("AUTH__ANONYMOUS_ROLE", "Student").start();
    assert!(broker.output().to_lowercase().contains("warning"), "a warning at every start:\n{}", broker.output());
    let mut client = broker.client("anonymous");
    assert_eq!(client.subscribe_with(&[Request::new("school/#", 0), Request::new("#", 0)], &[]), [0, 0x87]);
    assert_eq!(broker.refused(&Connect::v5("x").login("alice", "alice's secret")).code, 0x86);
}

/// [v5:MQTT-3.3.5-2]: refused with 0x87 where the version can say it, and delivered to nobody.
#[test]
fn a_publish_that_is_not_allowed_reaches_nobody() {
    let broker = school();
    let mut watcher = v5(&broker, "alice");
    watcher.subscribe("school/#", 2);
    let mut bob = v5(&broker, "bob");
    assert_eq!(bob.publish(Publish::new("school/board", "forged").qos(1)), 0x87);
    assert_eq!(bob.publish(Publish::new("school/board", "forged").qos(2)), 0x87);
    bob.publish(Publish::new("school/board", "forged"));
    bob.publish(Publish::new("school/board", "forged").qos(1).retain());
    let mut old = v311(&broker, "bob");
    assert_eq!(old.publish(Publish::new("school/board", "forged").qos(1)), 0, "PUBACK all the same");
    old.publish(Publish::new("school/board", "forged").qos(2));
    old.publish(Publish::new("school/board", "forged"));
    old.ping();
    bob.ping();
    watcher.publish(Publish::new("school/board", "true").qos(1));
    assert_eq!(watcher.message().text(), "true");
    let mut late = v5(&broker, "carol");
    late.subscribe("school/board", 1);
    late.expect_quiet();
}

/// [v5:MQTT-3.9.3-2] [v311:MQTT-3.9.3-2]: each filter on its own, and only if all that it matches is allowed.
#[test]
fn a_subscription_that_is_not_allowed_is_refused() {
    let broker = school();
    let cases = [
        ("school/#", true),
        ("school/board", true),
        ("school/+/x", true),
        ("students/bob/#", true),
        ("students/bob", true),
        ("students/carol/#", false),
        ("students/+/#", false),
        ("students/#", false),
        ("#", false),
        ("+/board", false),
        ("schools/#", false),
        ("$SYS/#", false),
        ("$share/group/school/#", true),
        ("$share/group/students/carol/#", false),
        ("$share/group/#", false),
    ];
    let requests: Vec<_> = cases.iter().map(|(filter, _)| Request::new(filter, 1)).collect();
    let new = v5(&broker, "bob").subscribe_with(&requests, &[]);
    let old = v311(&broker, "bob").subscribe_with(&requests, &[]);
    for (((filter, allowed), new), old) in cases.into_iter().zip(new).zip(old) {
        assert_eq!((new, old), if allowed { (1, 1) } else { (0x87, 0x80) }, "filter {filter}");
    }
}

/// `%u` and `%c` stand for the user and the client identifier, and never for a wildcard.
#[test]
fn rules_may_name_the_user_and_the_client() {
    let broker = school();
    broker.add_rule(&["--role", "Student", "--topic", "devices/%u/%c/#", "--publish", "--subscribe"]);
    let mut bob = broker.connect(&login(Connect::v5("lamp"), "bob"));
    assert!(is_allowed(&mut bob, "devices/bob/lamp/state"));
    for topic in ["devices/bob/radio/state", "devices/carol/lamp/state", "devices/bob/lampe/state", "devices/%u/%c/x"] {
        assert_eq!(bob.publish(Publish::new(topic, "x").qos(1)), 0x87, "{topic}");
    }
    for client_id in ["#", "+", "lamp/#", "a/b", "+/+"] {
        let mut odd = broker.connect(&login(Connect::v5(client_id), "bob"));
        for filter in ["devices/bob/#", "devices/bob/+/x", &format!("devices/bob/{client_id}/x")] {
            assert_ne!(odd.subscribe_with(&[Request::new(filter, 0)], &[]), [0], "client {client_id}, filter {filter}");
        }
    }
}

fn is_allowed(client: &mut Client, topic: &str) -> bool {
    match client.publish(Publish::new(topic, "x").qos(1)) {
        0x00 | 0x10 => true,
        0x87 => false,
        other => panic!("PUBACK {other:#04x}"),
    }
}

/// Publish and subscribe are granted separately.
#[test]
fn publishing_and_subscribing_are_different_rights() {
    let broker = school();
    broker.add_rule(&["--user", "carol", "--topic", "letters", "--subscribe"]);
    broker.add_rule(&["--user", "bob", "--topic", "letters", "--publish"]);
    let (mut bob, mut carol) = (v5(&broker, "bob"), v5(&broker, "carol"));
    assert!(is_allowed(&mut bob, "letters"));
    assert_eq!(bob.subscribe_with(&[Request::new("letters", 1)], &[]), [0x87]);
    carol.subscribe("letters", 1);
    assert_eq!(carol.publish(Publish::new("letters", "x").qos(1)), 0x87);
    bob.publish(Publish::new("letters", "dear Carol").qos(1));
    assert_eq!(carol.message().text(), "dear Carol");
}

/// A denial inside an allowed filter holds when a message is delivered, live and retained.
#[test]
fn a_denied_part_of_a_subscription_is_not_delivered() {
    let broker = school();
    broker.add_rule(&["--user", "bob", "--topic", "school/staff/#", "--subscribe", "--deny"]);
    let (mut alice, mut bob) = (v5(&broker, "alice"), v5(&broker, "bob"));
    alice.publish(Publish::new("school/staff/kept", "secret").qos(1).retain());
    alice.publish(Publish::new("school/kept", "public").qos(1).retain());
    bob.subscribe("school/#", 1);
    assert_eq!(bob.message().text(), "public");
    for (topic, payload) in [("school/staff", "secret"), ("school/staff/room", "secret"), ("school/yard", "mark")] {
        alice.publish(Publish::new(topic, payload).qos(1));
    }
    assert_eq!(bob.message().text(), "mark");
    assert_eq!(bob.subscribe_with(&[Request::new("school/staff/room", 1)], &[]), [0x87]);
}

/// A will to a forbidden topic is refused with the CONNECT that brings it.
#[test]
fn a_will_that_is_not_allowed_is_refused() {
    let broker = school();
    let connect = login(Connect::v5("x").will(Will::new("school/board", "forged")), "bob");
    assert_eq!(broker.refused(&connect).code, 0x87);
    let connect = login(Connect::v311("x").will(Will::new("school/board", "forged")), "bob");
    assert_eq!(broker.refused(&connect).code, 5);
    broker.connect(&login(Connect::v5("x").will(Will::new("students/bob/gone", "fine")), "bob")).ping();
}

/// The rights of the moment decide, not those of CONNECT.
#[test]
fn a_will_that_is_no_longer_allowed_is_not_published() {
    let broker = school();
    let mut watcher = v5(&broker, "alice");
    watcher.subscribe("students/#", 1);
    let mut bob = broker.connect(&login(Connect::v5("x").will(Will::new("students/bob/gone", "late")), "bob"));
    broker.add_rule(&["--user", "bob", "--topic", "students/bob/gone", "--publish", "--deny"]);
    assert!(!is_allowed(&mut bob, "students/bob/gone"));
    bob.vanish();
    watcher.publish(Publish::new("students/mark", "mark").qos(1));
    assert_eq!(watcher.message().text(), "mark");
}

/// Live subscriptions end with the right to them.
#[test]
fn a_subscription_ends_with_its_right() {
    let broker = school();
    let mut alice = v5(&broker, "alice");
    let (mut bob, mut carol) = (v5(&broker, "bob"), v5(&broker, "carol"));
    for client in [&mut bob, &mut carol] {
        client.subscribe("school/#", 1);
    }
    alice.publish(Publish::new("school/board", "before").qos(1));
    assert_eq!([bob.message().text(), carol.message().text()], ["before", "before"]);
    broker.add_rule(&["--user", "bob", "--topic", "school/#", "--subscribe", "--deny"]);
    alice.publish(Publish::new("school/board", "after").qos(1));
    assert_eq!(carol.message().text(), "after");
    assert!(bob.poll_end_or_message(Duration::from_millis(100)).is_none(), "Bob still gets messages");
}

/// What waits for a session is asked about again when it is sent.
#[test]
fn queued_messages_are_not_delivered_without_the_right() {
    let broker = school();
    let lasting = login(Connect::v5("lasting").lasting(), "bob");
    let mut bob = broker.connect(&lasting);
    bob.subscribe("school/#", 1);
    bob.disconnect();
    let mut alice = v5(&broker, "alice");
    alice.publish(Publish::new("school/staff", "secret").qos(1));
    alice.publish(Publish::new("school/board", "public").qos(1));
    broker.add_rule(&["--user", "bob", "--topic", "school/staff", "--subscribe", "--deny"]);
    let mut bob = broker.connect(&lasting);
    assert_eq!(bob.message().text(), "public");
}

/// A disabled or removed user is gone at once, and stays away.
#[test]
fn a_disabled_or_removed_user_is_disconnected() {
    let broker = school();
    for (arguments, user) in [(["user", "disable", "bob"], "bob"), (["user", "remove", "carol"], "carol")] {
        let (mut new, mut old) = (v5(&broker, user), v311(&broker, user));
        broker.run(&arguments);
        let begin = Instant::now();
        let packets = new.read_to_end();
        let Some(Packet::Disconnect(farewell)) = packets.last() else { panic!("not a DISCONNECT: {packets:?}") };
        assert!([0x87, 0x98].contains(&farewell.code), "{farewell:?}");
        old.expect_closed();
        assert!(begin.elapsed() < Duration::from_secs(1), "after {:?}", begin.elapsed());
        let code = broker.refused(&login(Connect::v5("x"), user)).code;
        assert!([0x86, 0x87].contains(&code), "{code:#04x}");
    }
    broker.run(&["user", "enable", "bob"]);
    v5(&broker, "bob").ping();
}

/// A new password holds at once, and the old one no longer.
#[test]
fn a_new_password_replaces_the_old() {
    let broker = school();
    v5(&broker, "bob").disconnect();
    broker.run_with_input(&["user", "passwd", "bob", "--password-stdin"], "new secret\n");
    assert_eq!(broker.refused(&login(Connect::v5("x"), "bob")).code, 0x86);
    broker.connect(&Connect::v5("x").login("bob", "new secret")).ping();
}

/// SECURITY rule 2: the session belongs to the user and the identifier, so another user's is another session.
#[test]
fn nobody_gets_at_the_session_of_another_user() {
    let broker = school();
    let shared = |user| login(Connect::v5("shared id").lasting(), user);
    let mut bob = broker.connect(&shared("bob"));
    bob.subscribe("students/bob/#", 1);
    let mut alice = v5(&broker, "alice");
    for connect in [shared("carol"), shared("carol").clean(true)] {
        let mut client = broker.open();
        let answer = client.try_connect(&connect);
        assert!(!answer.session_present);
        if answer.code == 0 {
            client.ping();
        } else {
            assert!([0x85, 0x87].contains(&answer.code), "{answer:?}");
        }
        alice.publish(Publish::new("students/bob/letter", "for Bob").qos(1));
        assert_eq!(bob.message().text(), "for Bob");
        if answer.code == 0 {
            client.expect_quiet();
        }
    }
}

/// SECURITY rule 1: a CONNECT that is refused takes nothing over, ends no session and leaves no will.
#[test]
fn a_refused_connect_has_no_effect() {
    let broker = school();
    let mut watcher = v5(&broker, "alice");
    watcher.subscribe("students/#", 1);
    let lasting = login(Connect::v5("target").lasting(), "bob");
    let mut bob = broker.connect(&lasting);
    bob.subscribe("students/bob/#", 1);
    let will = Will::new("students/bob/will", "forged").retain().qos(1);
    let forged = Connect::v5("target").login("bob", "wrong").will(will);
    let mut bytes = forged.encode();
    bytes.extend(Publish::new("students/bob/x", "forged").qos(1).id(1).encode(forged.version));
    bytes.extend(wire::subscribe(forged.version, 2, &[Request::new("students/bob/#", 1)], &[]));
    bytes.extend(wire::farewell(wire::DISCONNECT, 0x04, &[]));
    let mut client = broker.open().speaking(forged.version);
    client.send(&bytes);
    assert_eq!(client.take_connack().code, 0x86);
    client.expect_closed();
    bob.ping();
    watcher.publish(Publish::new("students/bob/mark", "mark").qos(1));
    assert_eq!(watcher.message().text(), "mark");
    assert_eq!(bob.message().text(), "mark");
    bob.disconnect();
    assert!(broker.connect(&lasting).connack.session_present, "the session is still there");
}

/// Guessing is slowed down, for the one who guesses.
#[test]
fn guessing_passwords_is_slowed_down() {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").set("AUTH__FAILED_LOGINS_PER_MINUTE", 10).start();
    broker.add_user("bob", "Student", "bob's secret");
    broker.add_user("carol", "Student", "carol's secret");
    let guess = |number: i32| broker.refused(&Connect::v5("x").login("bob", &number.to_string())).code;
    let codes: Vec<_> = (0..20).map(guess).collect();
    assert_eq!(codes[0], 0x86);
    assert!([0x89, 0x97, 0x9F].contains(&codes[19]), "the twentieth guess is answered by {:#04x}", codes[19]);
    v5(&broker, "carol").ping();
}

/// Passwords are checked beside the work, not in its way: a storm of wrong ones slows nobody who is there.
#[test]
fn a_storm_of_wrong_passwords_slows_nobody() {
    let broker = school();
    let mut alice = v5(&broker, "alice");
    let address = broker.address();
    let storm: Vec<_> = (0..40)
        .map(|number| {
            std::thread::spawn(move || {
                for attempt in 0..5 {
                    let guess = Connect::v5("x").login(&format!("user{number}"), &attempt.to_string());
                    assert_ne!(Client::open(address).try_connect(&guess).code, 0);
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while storm.iter().any(|thread| !thread.is_finished()) {
        let begin = Instant::now();
        alice.ping();
        slowest = slowest.max(begin.elapsed());
    }
    for thread in storm {
        thread.join().unwrap();
    }
    assert!(slowest < Duration::from_millis(500), "a ping took {slowest:?}");
    v5(&broker, "bob").ping();
}

/// Names that could change the meaning of a rule, a topic or a log line do not come into being.
#[test]
fn user_names_that_mean_something_else_are_refused() {
    let broker = school();
    for name in ["", "a/b", "a+", "#", "a\nb", "a\u{1b}[31m", "a\u{202e}b"] {
        let mut command = broker.command(&["user", "add", "--role", "Student", "--password-stdin", "--"]);
        command.arg(name);
        let output = crate::support::broker::finish(command, "secret\n");
        assert!(!output.status.success(), "the name {name:?} was taken");
    }
}
