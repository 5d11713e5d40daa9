//! The tree beside the definition of a filter.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn found(topics: &Topics, topic: &str) -> Vec<(Key, u8)> {
    let mut found = Vec::new();
    topics.find(topic, &mut found);
    found.sort_unstable();
    found
}

/// The examples of sections 4.7.1 and 4.7.2.
#[test]
fn filters_match_as_in_the_standard() {
    for (filter, yes, no) in [
        (
            "sport/tennis/player1/#",
            &[
                "sport/tennis/player1",
                "sport/tennis/player1/ranking",
                "sport/tennis/player1/score/w",
            ][..],
            &["sport/tennis/player2", "sport/tennis"][..],
        ),
        ("sport/#", &["sport", "sport/", "sport/a/b"], &["sports", "$sport"]),
        ("#", &["a", "/", "a/b"], &["$SYS", "$SYS/a"]),
        ("+", &["a", ""], &["a/b", "/a", "$SYS"]),
        ("sport/+", &["sport/", "sport/a"], &["sport", "sport/a/b"]),
        ("+/+", &["/finance", "a/b"], &["finance", "$SYS/a"]),
        ("/+", &["/finance"], &["finance", "//finance"]),
        ("+/monitor/Clients", &["a/monitor/Clients"], &["$SYS/monitor/Clients"]),
        ("$SYS/#", &["$SYS", "$SYS/a/b"], &["SYS/a"]),
        ("$SYS/monitor/+", &["$SYS/monitor/Clients"], &["$SYS/monitor"]),
        ("a/+/c/#", &["a/b/c", "a//c/d"], &["a/c", "a/b/d"]),
    ] {
        let mut topics = Topics::default();
        topics.subscribe(filter, 7, 1);
        for (topic, is_one) in yes.iter().map(|t| (t, true)).chain(no.iter().map(|t| (t, false))) {
            assert_eq!(matches(filter, topic), is_one, "{filter} {topic}");
            assert_eq!(!found(&topics, topic).is_empty(), is_one, "{filter} {topic}");
        }
    }
}

#[test]
fn who_has_several_filters_gets_a_message_once_and_with_the_highest_qos() {
    let mut topics = Topics::default();
    for (filter, key, qos) in
        [("a/b", 1, 0), ("a/+", 1, 2), ("#", 1, 1), ("a/b", 2, 1), ("a/b", 2, 0)]
    {
        topics.subscribe(filter, key, qos);
    }
    assert_eq!(found(&topics, "a/b"), [(1, 2), (2, 0)]);
    topics.unsubscribe("a/+", 1);
    assert_eq!(found(&topics, "a/b"), [(1, 1), (2, 0)]);
}

fn topic() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$c"]);
    prop::collection::vec(level, 1..4).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "+", "$c"]);
    (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(mut levels, all)| {
        levels.extend(all.then_some("#"));
        levels.join("/")
    })
}

proptest! {
    #[test]
    fn the_tree_finds_what_the_definition_says(
        steps in prop::collection::vec((filter(), 0u32..4, prop::option::of(0u8..3)), 0..30),
        asked in topic(),
    ) {
        let (mut topics, mut plain) = (Topics::default(), BTreeMap::new());
        for (filter, key, qos) in steps {
            match qos {
                Some(qos) => {
                    topics.subscribe(&filter, key, qos);
                    plain.insert((filter, key), qos);
                }
                None => {
                    topics.unsubscribe(&filter, key);
                    plain.remove(&(filter, key));
                }
            }
        }
        let mut expected: BTreeMap<Key, u8> = BTreeMap::new();
        for ((filter, key), &qos) in &plain {
            if matches(filter, &asked) {
                let best = expected.entry(*key).or_default();
                *best = qos.max(*best);
            }
        }
        prop_assert_eq!(found(&topics, &asked), expected.into_iter().collect::<Vec<_>>());
        for ((filter, key), _) in plain {
            topics.unsubscribe(&filter, key);
        }
        prop_assert!(topics.0.below.is_empty() && topics.0.here.is_empty());
    }

    #[test]
    fn what_matches_begins_as_the_filter_does(filter in filter(), topic in topic()) {
        prop_assert!(!matches(&filter, &topic) || topic.starts_with(start(&filter)));
    }
}
