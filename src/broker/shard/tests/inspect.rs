//! What people see of a shard, and the little they do to it.

use super::super::inspect::{ClientQuery, Presence, RetainedQuery};
use super::stage::{Stage, client, publish, retain};
use crate::broker::access::{Principal, UserName};
use crate::broker::effect::Effects;
use crate::broker::event::EventKind;
use crate::broker::message::SessionKey;
use crate::broker::reason::Reason;
use crate::protocol::{ClientId, TopicFilter, TopicName};
use std::collections::BTreeSet;
use std::sync::Arc;

fn key(user: &str, id: &str) -> SessionKey {
    let client_id = ClientId::new(super::stage::text(id)).unwrap();
    SessionKey { principal: Principal::User(UserName::new(user).unwrap()), client_id }
}

fn all() -> ClientQuery {
    ClientQuery { limit: 100, ..ClientQuery::default() }
}

fn names(stage: &Stage, query: &ClientQuery) -> Vec<String> {
    let clients = stage.shard(0).clients(query).into_iter();
    clients
        .map(|client| format!("{}/{}", client.key.principal.user().unwrap(), client.key.client_id.as_str()))
        .collect()
}

#[test]
fn clients_are_listed_by_user_and_identifier_page_by_page() {
    let mut stage = Stage::one();
    for (user, id) in [("bob", "x"), ("ann", "y"), ("bob", "a"), ("ann", "x")] {
        stage.connect(client(id).user(user));
    }
    let everybody = ["ann/x", "ann/y", "bob/a", "bob/x"];
    assert_eq!(names(&stage, &all()), everybody);
    let mut found = Vec::new();
    let mut query = ClientQuery { limit: 1, ..all() };
    while let Some(client) = stage.shard(0).clients(&query).pop() {
        found.extend(names(&stage, &query));
        query.after = Some(SessionKey::clone(&client.key));
    }
    assert_eq!(found, everybody);
    let owners = UserName::new("bob").ok().map(|bob| Arc::new(BTreeSet::from([bob])));
    assert_eq!(names(&stage, &ClientQuery { owners: owners.clone(), ..all() }), ["bob/a", "bob/x"]);
    // A place to go on at in somebody else's rows opens none of them.
    let after = Some(key("ann", "x"));
    assert_eq!(names(&stage, &ClientQuery { owners, after, search: "x".into(), ..all() }), ["bob/x"]);
}

#[test]
fn a_client_is_shown_with_what_it_did_and_waits_for() {
    let mut stage = Stage::one();
    let here = stage.connect(client("here").user("ann").will("gone", 5));
    let away = stage.connect(client("away").user("ann").durable());
    stage.subscribed(away, "t/#", 1);
    stage.lose(away);
    stage.send(here, publish("t/1", "x", 1, 7));
    let shown = stage.shard(0).client(&key("ann", "away")).unwrap();
    assert_eq!((shown.view.live.is_none(), shown.view.queued, shown.view.subscriptions), (true, 1, 1));
    assert_eq!(shown.subscriptions[0].0, "t/#");
    let shown = stage.shard(0).client(&key("ann", "here")).unwrap();
    assert_eq!((shown.view.live.unwrap().received, shown.will.unwrap().topic.as_str()), (1, "gone"));
    let online = ClientQuery { presence: Presence::Online, ..all() };
    assert_eq!(names(&stage, &online), ["ann/here"]);
    assert_eq!(names(&stage, &ClientQuery { presence: Presence::Offline, ..all() }), ["ann/away"]);
    assert!(stage.shard(0).client(&key("bob", "here")).is_none());
    let report = stage.shard(0).report();
    assert_eq!((report.sessions, report.connections, report.subscriptions, report.queued), (2, 1, 1, 1));
}

#[test]
fn receivers_are_counted_once_each() {
    let mut stage = Stage::one();
    let ann = stage.connect(client("a").user("ann"));
    stage.subscribed(ann, "t/#", 0);
    stage.subscribed(ann, "t/+", 0);
    let bob = stage.connect(client("b").user("bob"));
    stage.subscribed(bob, "$share/g/t/1", 0);
    let count = |topic: &str| stage.shard(0).receivers_of(&TopicName::try_from(topic).unwrap());
    assert_eq!((count("t/1"), count("t/2"), count("u")), (2, 1, 0));
}

#[test]
fn retained_messages_are_shown_to_those_who_may_receive_them() {
    let mut stage = Stage::one();
    let ann = stage.connect(client("a").user("ann"));
    for (number, topic) in ["t/1", "t/2", "t/3", "u"].into_iter().enumerate() {
        stage.send(ann, retain(topic, "x", 1, u16::try_from(number).unwrap() + 1));
    }
    stage.rules(&["Student allow pubsub #", "bob deny sub t/2"]);
    let shown = |user: &str, filter: &str, after: Option<&str>, limit: usize| -> Vec<String> {
        let shard = stage.shard(0);
        let rights = shard.rights_of(&key(user, "web"));
        let (filter, after) =
            (TopicFilter::try_from(filter).unwrap(), after.map(|topic| TopicName::try_from(topic).unwrap()));
        let found = shard.retained_messages(stage.now, &RetainedQuery { filter, after, limit }, &rights);
        found.iter().map(|message| message.topic.to_string()).collect()
    };
    assert_eq!(shown("ann", "t/#", None, 9), ["t/1", "t/2", "t/3"]);
    assert_eq!(shown("bob", "t/#", None, 9), ["t/1", "t/3"]);
    assert_eq!(shown("ann", "#", Some("t/2"), 1), ["t/3"]);
    assert_eq!(shown("eve", "#", None, 9), [""; 0]);
}

#[test]
fn an_administrator_ends_a_connection_or_the_whole_session() {
    let mut stage = Stage::one();
    let ann = stage.connect(client("a").user("ann").durable());
    stage.events();
    let now = stage.now;
    let mut effects = Effects::default();
    assert!(stage.shard_mut(0).disconnect_client(now, &key("ann", "a"), &mut effects));
    assert!(!stage.shard_mut(0).disconnect_client(now, &key("ann", "a"), &mut effects));
    stage.perform(0, effects);
    assert_eq!(stage.hear(ann), ["disconnect 0x98", "closed"]);
    assert_eq!(stage.shard(0).session_count(), 1);
    let mut effects = Effects::default();
    assert!(stage.shard_mut(0).end_client(now, &key("ann", "a"), &mut effects));
    assert!(!stage.shard_mut(0).end_client(now, &key("ann", "a"), &mut effects));
    stage.perform(0, effects);
    let reason = Reason::Administrative;
    assert_eq!(stage.events(), [EventKind::Disconnected { reason, detail: None }, EventKind::SessionEnded { reason }]);
    stage.assert_empty();
}
