//! The tree against the definition of matching.

use super::*;
use crate::protocol::QoS;
use proptest::prelude::*;
use std::collections::BTreeSet;

const OPTIONS: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::AtMostOnce,
    no_local: false,
    retain_as_published: false,
    id: None,
    check_delivery: false,
};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text).unwrap()
}

fn sessions_for(trie: &Trie, topic: &TopicName) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    trie.for_each_match(topic, &mut |leaf| found.extend(leaf.sessions().iter().map(|(index, _)| *index)));
    found
}

#[test]
fn an_emptied_tree_gives_its_nodes_back() {
    let mut trie = Trie::default();
    for text in ["a/b/c", "a/+/c", "a/b/#", "#", "+", "/", "$SYS/#"] {
        trie.change(&filter(text), |leaf| leaf.set_session(1, OPTIONS));
    }
    for text in ["a/b/c", "a/+/c", "a/b/#", "#", "+", "/", "$SYS/#"] {
        trie.change(&filter(text), |leaf| leaf.remove_session(1));
    }
    assert_eq!(trie.node_count(), 1);
    trie.change(&filter("never/there"), |leaf| leaf.remove_session(1));
    assert_eq!(trie.node_count(), 1);
}

#[test]
fn a_second_subscription_with_the_same_filter_replaces_the_first() {
    let mut trie = Trie::default();
    assert!(trie.change(&filter("a"), |leaf| leaf.set_session(1, OPTIONS)));
    let more = SubscriptionOptions { qos: QoS::ExactlyOnce, ..OPTIONS };
    assert!(!trie.change(&filter("a"), |leaf| leaf.set_session(1, more)));
    let mut found = Vec::new();
    let topic = TopicName::try_from("a").unwrap();
    trie.for_each_match(&topic, &mut |leaf| found.extend(leaf.sessions().to_vec()));
    assert_eq!(found, [(1, more)]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "a", "b", "$x"])
}

fn any_topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn any_filter() -> impl Strategy<Value = String> {
    let inner = prop::sample::select(vec!["", "a", "b", "$x", "+"]);
    (prop::collection::vec(inner, 1..5), any::<bool>()).prop_map(|(levels, open)| {
        let path = levels.join("/");
        if open { format!("{path}/#") } else { path }
    })
}

proptest! {
    #[test]
    fn a_walk_finds_what_the_filters_match_one_by_one(
        filters in prop::collection::vec(any_filter().prop_filter("not empty", |text| !text.is_empty()), 0..20),
        removed in prop::collection::vec(any::<bool>(), 20),
        topic in any_topic().prop_filter("not empty", |text| !text.is_empty()),
    ) {
        let mut trie = Trie::default();
        for (index, text) in filters.iter().enumerate() {
            trie.change(&filter(text), |leaf| leaf.set_session(index as u32, OPTIONS));
        }
        for (index, text) in filters.iter().enumerate().filter(|(index, _)| removed[*index]) {
            trie.change(&filter(text), |leaf| leaf.remove_session(index as u32));
        }
        let topic = TopicName::try_from(topic.as_str()).unwrap();
        let naive = filters.iter().enumerate().filter(|(index, text)| !removed[*index] && filter(text).matches(&topic));
        prop_assert_eq!(sessions_for(&trie, &topic), naive.map(|(index, _)| index as u32).collect());
    }
}
