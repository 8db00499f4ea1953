//! Tables of names and filters, and the relations between filters held against matching itself.

use super::*;
use proptest::prelude::*;

fn name(text: &str) -> TopicName {
    TopicName::try_from(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// [v5:MQTT-4.7.0-1] [v5:MQTT-4.7.3-1] [v5:MQTT-4.7.3-2] [v5:MQTT-4.7.3-3] [v5:MQTT-3.3.2-2]
#[test]
fn a_topic_name_is_not_empty_and_has_no_wildcard() {
    let deep = "/".repeat(TopicName::MAX_LEVELS - 1);
    for good in ["a", "/", "//", "a/", " ", "Sport/Tennis", "$SYS/uptime", "$", "über/💡", "a b/c", "\u{FEFF}", &deep]
    {
        assert!(TopicName::try_from(good).is_ok(), "{good}");
    }
    let too_deep = "/".repeat(TopicName::MAX_LEVELS);
    let too_long = "x".repeat(65_536);
    for (bad, expected) in [
        ("", InvalidTopic::Empty),
        ("+", InvalidTopic::WildcardInName),
        ("#", InvalidTopic::WildcardInName),
        ("a/+/b", InvalidTopic::WildcardInName),
        ("a#", InvalidTopic::WildcardInName),
        ("a+b", InvalidTopic::WildcardInName),
        ("a\0b", InvalidTopic::Text(InvalidText::Null)),
        (&too_deep, InvalidTopic::TooDeep),
        (&too_long, InvalidTopic::Text(InvalidText::TooLong)),
    ] {
        assert_eq!(TopicName::try_from(bad), Err(expected));
    }
}

/// [v5:MQTT-4.7.1-1] [v5:MQTT-4.7.1-2]
#[test]
fn a_filter_has_wildcards_only_as_whole_levels() {
    for good in
        ["#", "+", "/", "+/#", "/#", "a/#", "+/a/#", "a/+/b", "+/+", "//", "/+", "$SYS/#", "$share", "a/$share/b"]
    {
        assert!(TopicFilter::try_from(good).is_ok(), "{good}");
    }
    for (bad, expected) in [
        ("", InvalidTopic::Empty),
        ("a#", InvalidTopic::MisplacedMultiLevel),
        ("#/a", InvalidTopic::MisplacedMultiLevel),
        ("a/#/b", InvalidTopic::MisplacedMultiLevel),
        ("##", InvalidTopic::MisplacedMultiLevel),
        ("a/#/", InvalidTopic::MisplacedMultiLevel),
        ("+#", InvalidTopic::MisplacedMultiLevel),
        ("a+", InvalidTopic::MisplacedSingleLevel),
        ("+a/b", InvalidTopic::MisplacedSingleLevel),
        ("a/++/b", InvalidTopic::MisplacedSingleLevel),
        ("\0", InvalidTopic::Text(InvalidText::Null)),
    ] {
        assert_eq!(TopicFilter::try_from(bad), Err(expected), "{bad}");
    }
}

/// [v5:MQTT-4.7.1-1] [v5:MQTT-4.7.1-2] [v5:MQTT-4.7.2-1] [v5:MQTT-4.7.3-4]
#[test]
fn a_filter_matches_by_levels() {
    for (of, topic, expected) in [
        ("sport/tennis/#", "sport/tennis", true),
        ("sport/tennis/#", "sport/tennis/player1/ranking", true),
        ("sport/#", "sport", true),
        ("sport/#", "sports", false),
        ("#", "sport", true),
        ("#", "/", true),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("sport/+", "sport/a", true),
        ("sport/+", "sport/a/b", false),
        ("sport/+/player1", "sport/tennis/player1", true),
        ("+", "a", true),
        ("+", "a/b", false),
        ("+", "/a", false),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/tennis/#", "a/tennis", true),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a/b", "a//b", false),
        ("a", "A", false),
        ("a", "a/", false),
        ("/a", "a", false),
        ("é", "e\u{301}", false),
        ("#", "$SYS/uptime", false),
        ("+/uptime", "$SYS/uptime", false),
        ("+/#", "$SYS/uptime", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/+", "$SYS/uptime", true),
        ("a/#", "a/$SYS", true),
        ("a/+", "a/$SYS", true),
    ] {
        assert_eq!(filter(of).matches(&name(topic)), expected, "{of} against {topic}");
    }
}

#[test]
fn a_filter_covers_what_it_leaves_nothing_of() {
    for (ours, theirs, expected) in [
        ("#", "a/b", true),
        ("#", "#", true),
        ("#", "$SYS/#", false),
        ("+/#", "#", true),
        ("a/#", "a", true),
        ("a/#", "a/+/c", true),
        ("/+/#", "/#", true),
        ("a/#", "#", false),
        ("a/+", "a/b", true),
        ("a/+", "a/+", true),
        ("a/+", "a/#", false),
        ("a/+/#", "a/#", false),
        ("a/b", "a/+", false),
        ("+/+", "+", false),
        ("+", "$SYS", false),
        ("$SYS/#", "$SYS/+", true),
        ("$SYS/#", "+/a", false),
    ] {
        assert_eq!(filter(ours).covers(&filter(theirs)), expected, "{ours} covers {theirs}");
    }
}

#[test]
fn two_filters_intersect_if_a_topic_matches_both() {
    for (one, other, expected) in [
        ("a", "a", true),
        ("a", "b", false),
        ("a/+", "+/b", true),
        ("a/#", "a", true),
        ("a/b/#", "a/+", true),
        ("a/b/#", "a", false),
        ("+", "+/+", false),
        ("+", "/#", false),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/+", false),
        ("$SYS/#", "$SYS/+/b", true),
        ("+/x/#", "#", true),
    ] {
        assert_eq!(filter(one).intersects(&filter(other)), expected, "{one} with {other}");
        assert_eq!(filter(other).intersects(&filter(one)), expected, "{other} with {one}");
    }
}

/// [v5:MQTT-4.8.2-1] [v5:MQTT-4.8.2-2]
#[test]
fn a_shared_filter_has_a_name_without_wildcards_and_a_filter() {
    for (text, share, of) in [
        ("a/#", None, "a/#"),
        ("$share", None, "$share"),
        ("$shared/g/a", None, "$shared/g/a"),
        ("$SHARE/g/a", None, "$SHARE/g/a"),
        ("$share/g/a", Some("g"), "a"),
        ("$share/g//", Some("g"), "/"),
        ("$share/g/$SYS/#", Some("g"), "$SYS/#"),
        ("$share/consumer 1/+/b", Some("consumer 1"), "+/b"),
    ] {
        let shared = SharedFilter::new(&Text::try_from(text).unwrap()).unwrap();
        assert_eq!(shared.share.as_ref().map(ShareName::as_str), share, "{text}");
        assert_eq!(shared.filter.as_str(), of, "{text}");
        assert_eq!(shared.to_string(), text);
        assert_eq!(shared.compact(), shared);
    }
    for (text, expected) in [
        ("", InvalidTopic::Empty),
        ("$share/", InvalidTopic::BadShare),
        ("$share/ab", InvalidTopic::BadShare),
        ("$share/g/", InvalidTopic::BadShare),
        ("$share//a", InvalidTopic::BadShare),
        ("$share/+/a", InvalidTopic::BadShare),
        ("$share/#/a", InvalidTopic::BadShare),
        ("$share/g/a#", InvalidTopic::MisplacedMultiLevel),
    ] {
        assert_eq!(SharedFilter::new(&Text::try_from(text).unwrap()), Err(expected), "{text}");
    }
}

#[test]
fn words_of_a_topic() {
    assert_eq!(name("/a//b/").levels().collect::<Vec<_>>(), ["", "a", "", "b", ""]);
    assert_eq!(filter("+/#").levels().collect::<Vec<_>>(), ["+", "#"]);
    assert!(name("$SYS").is_reserved() && filter("$SYS/#").is_reserved() && !name("a$").is_reserved());
    assert!(filter("a/+").has_wildcard() && filter("#").has_wildcard() && !filter("a/b").has_wildcard());
    assert_eq!(name("a/b").compact(), name("a/b"));
    assert_eq!(format!("{} {:?}", name("a/b"), filter("+")), "a/b \"+\"");
}

/// Levels of the small world in which every topic can be tried: `x` stands for all levels that no filter names.
const LEVELS: [&str; 4] = ["", "a", "b", "x"];

/// All topics of up to four levels over [`LEVELS`], and the same below `$`.
fn world() -> Vec<TopicName> {
    let mut topics = vec!["$".to_owned()];
    topics.extend(LEVELS.map(str::to_owned));
    let mut longest = topics.clone();
    for _ in 1..4 {
        longest = longest.iter().flat_map(|front| LEVELS.map(|level| format!("{front}/{level}"))).collect();
        topics.extend(longest.iter().cloned());
    }
    topics.iter().filter(|topic| !topic.is_empty()).map(|topic| name(topic)).collect()
}

/// Filters of up to three levels, so that the world has a topic beyond each.
fn small_filter() -> impl Strategy<Value = TopicFilter> {
    let level = || proptest::sample::select(&["", "a", "b", "+"][..]);
    let first = prop_oneof![4 => level(), 1 => Just("$"), 1 => Just("#")];
    (first, proptest::collection::vec(level(), 0..2), any::<bool>()).prop_filter_map("empty", |(first, rest, open)| {
        let mut levels = vec![first];
        levels.extend(rest);
        if first == "#" {
            levels.truncate(1);
        } else if open {
            levels.push("#");
        }
        TopicFilter::try_from(levels.join("/").as_str()).ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn relations_of_filters_say_what_matching_says(one in small_filter(), other in small_filter()) {
        let world = world();
        let covers = world.iter().all(|topic| one.matches(topic) || !other.matches(topic));
        prop_assert_eq!(one.covers(&other), covers, "{} covers {}", one, other);
        let intersects = world.iter().any(|topic| one.matches(topic) && other.matches(topic));
        prop_assert_eq!(one.intersects(&other), intersects, "{} with {}", one, other);
    }

    #[test]
    fn a_filter_without_wildcards_matches_itself_alone(topic in "[a-c/$]{1,8}", other in "[a-c/$]{1,8}") {
        prop_assert_eq!(filter(&topic).matches(&name(&other)), topic == other);
        prop_assert!(filter(&topic).covers(&filter(&topic)));
    }

    #[test]
    fn any_string_is_a_filter_or_says_why_not(text in "[a+#/$é]{0,8}") {
        if let Ok(of) = TopicFilter::try_from(text.as_str()) {
            let has_wildcard = TopicName::try_from(text.as_str()).is_err();
            prop_assert_eq!(of.has_wildcard(), has_wildcard);
            prop_assert!(of.levels().all(|level| level.len() == 1 || !level.contains(['+', '#'])));
        }
    }
}
