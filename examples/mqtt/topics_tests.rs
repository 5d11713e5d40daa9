//! The tree beside the definition of a filter.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The definition.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(one), Some(level)) if one == "+" || one == level => {}
            _ => return false,
        }
    }
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
        topics.subscribe(filter, "me", 1);
        for (topic, is_one) in yes.iter().map(|t| (t, true)).chain(no.iter().map(|t| (t, false))) {
            assert_eq!(matches(filter, topic), is_one, "{filter} {topic}");
            assert_eq!(!topics.find(topic).is_empty(), is_one, "{filter} {topic}");
        }
    }
}

#[test]
fn who_has_several_filters_gets_a_message_once_and_with_the_highest_qos() {
    let mut topics = Topics::default();
    for (filter, client, qos) in
        [("a/b", "1", 0), ("a/+", "1", 2), ("#", "1", 1), ("a/b", "2", 1), ("a/b", "2", 0)]
    {
        topics.subscribe(filter, client, qos);
    }
    assert_eq!(topics.find("a/b"), [("1", 2), ("2", 0)]);
    topics.unsubscribe("a/+".split('/'), "1");
    assert_eq!(topics.find("a/b"), [("1", 1), ("2", 0)]);
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
        steps in prop::collection::vec((filter(), "[0-3]", prop::option::of(0u8..3)), 0..30),
        asked in topic(),
    ) {
        let (mut topics, mut plain) = (Topics::default(), BTreeMap::new());
        for (filter, client, qos) in steps {
            match qos {
                Some(qos) => {
                    topics.subscribe(&filter, &client, qos);
                    plain.insert((filter, client), qos);
                }
                None => {
                    topics.unsubscribe(filter.split('/'), &client);
                    plain.remove(&(filter, client));
                }
            }
        }
        let mut expected: BTreeMap<&str, u8> = BTreeMap::new();
        for ((filter, client), &qos) in &plain {
            if matches(filter, &asked) {
                let best = expected.entry(client).or_default();
                *best = qos.max(*best);
            }
        }
        prop_assert_eq!(topics.find(&asked), expected.into_iter().collect::<Vec<_>>());
        for ((filter, client), _) in plain {
            topics.unsubscribe(filter.split('/'), &client);
        }
        prop_assert!(topics.below.is_empty() && topics.here.is_empty());
    }
}
