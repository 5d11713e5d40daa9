//! Words between processes, against what was told: ways that are lost with words on them, and processes that end.

use super::*;
use proptest::prelude::*;

fn known(numbers: &[u64]) -> Vec<OtherGeneration> {
    numbers.iter().map(|&number| OtherGeneration { number, serves: false }).collect()
}

/// Knows generation 2.
fn speaker() -> Words {
    let mut words = Words::default();
    words.know(known(&[2]), vec![3]);
    words
}

#[test]
fn who_cannot_be_told_is_an_error_each_with_its_reason() {
    let mut words = speaker();
    assert_eq!(words.tell(3, b""), Err(TellError::Deaf { to: 3 }));
    assert_eq!(words.tell(4, b""), Err(TellError::Unknown { to: 4 }));
    let long = vec![0; WORD_MAX + 1];
    assert_eq!(words.tell(2, &long), Err(TellError::TooLong { bytes: WORD_MAX + 1 }));
    for (word, count) in [(vec![0; WORD_MAX], WORDS_BYTES / WORD_MAX), (vec![], WORDS_COUNT)] {
        let mut words = speaker();
        (0..count).for_each(|_| words.tell(2, &word).unwrap());
        let full = TellError::Full { to: 2, words: count, bytes: count * word.len() };
        assert_eq!(words.tell(2, &word), Err(full));
        assert!(full.to_string().contains("wait for it already"));
        words.heard(2, 1);
        assert_eq!(words.tell(2, &word), Ok(()), "there is room for one");
    }
    assert!(words.is_idle());
}

/// Whoever knows an end later than the next beginning of the same number does not take old words for new ones.
#[test]
fn what_was_given_up_leaves_no_gap_that_would_be_waited_for() {
    let (mut ann, mut bob) = (speaker(), Words::default());
    ann.tell(2, b"one").unwrap();
    bob.receive(ann.next_batch(1, |_| true).unwrap());
    ann.tell(2, b"lost").unwrap();
    ann.know(Vec::new(), Vec::new());
    assert_eq!(ann.take_lost(), Some((2, b"one".to_vec())));
    assert_eq!(ann.take_lost(), Some((2, b"lost".to_vec())));
    ann.know(known(&[2]), Vec::new());
    ann.tell(2, b"two").unwrap();
    let batch = ann.next_batch(1, |_| true).unwrap();
    bob.receive(batch.clone());
    bob.receive(batch);
    let took: Vec<_> = std::iter::from_fn(|| bob.take()).map(|(_, _, word)| word).collect();
    assert_eq!(took, [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn at_the_end_what_has_not_left_comes_back() {
    let mut words = speaker();
    words.tell(2, b"left").unwrap();
    words.sent(2, words.next_batch(1, |_| true).unwrap().words.len());
    words.tell(2, b"stays").unwrap();
    words.end();
    assert_eq!(words.take_lost(), Some((2, b"stays".to_vec())));
    assert_eq!((words.take_lost(), words.tell(2, b"")), (None, Err(TellError::Unknown { to: 2 })));
}

/// What may happen to two processes and the way between them.
#[derive(Clone, Debug)]
enum Step {
    Tell(usize),
    /// The next batch leaves, and waits on the way.
    Leave,
    /// The next one arrives.
    Arrive,
    Take,
    Acknowledge,
    /// An acknowledgement that leaves is lost with its way.
    LoseAcknowledgement,
    /// What is on the way is lost, and there is another way.
    LoseWay,
    /// There is another way, and what is on the old one comes as well: after what comes by the new one, or before.
    NewWay {
        first: bool,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(0usize), 1..100usize, Just(WORDS_BATCH / 2)].prop_map(Step::Tell),
        4 => Just(Step::Leave),
        4 => Just(Step::Arrive),
        3 => Just(Step::Take),
        2 => Just(Step::Acknowledge),
        1 => Just(Step::LoseAcknowledgement),
        1 => Just(Step::LoseWay),
        1 => any::<bool>().prop_map(|first| Step::NewWay { first }),
    ]
}

proptest! {
    /// Each word is taken once, in order; and whatever is not taken comes back if the other one ends.
    #[test]
    fn words_are_taken_once_in_order_whatever_becomes_of_the_ways(steps in proptest::collection::vec(any_step(), 0..200)) {
        let (mut ann, mut bob) = (speaker(), Words::default());
        bob.know(known(&[1]), Vec::new());
        let (mut way, mut other_way) = (VecDeque::new(), VecDeque::new());
        let (mut told, mut took) = (Vec::new(), Vec::new());
        let take = |bob: &mut Words, took: &mut Vec<Vec<u8>>| {
            let Some((from, number, word)) = bob.take() else { return false };
            took.push(word);
            bob.taken(from, number);
            true
        };
        for step in steps {
            match step {
                Step::Tell(length) => {
                    let word = vec![told.len() as u8; length];
                    if ann.tell(2, &word).is_ok() {
                        told.push(word);
                    }
                }
                Step::Leave => {
                    if let Some(batch) = ann.next_batch(1, |_| true) {
                        ann.sent(2, batch.words.len());
                        way.push_back(batch);
                    }
                }
                Step::Arrive => {
                    let batch = way.pop_front().or_else(|| other_way.pop_front());
                    batch.into_iter().for_each(|batch| bob.receive(batch));
                }
                Step::Take => drop(take(&mut bob, &mut took)),
                Step::Acknowledge | Step::LoseAcknowledgement => {
                    if let Some(heard) = bob.next_heard(2, |_| true) {
                        bob.acknowledged(1);
                        if matches!(step, Step::Acknowledge) {
                            ann.heard(heard.by, heard.number);
                        }
                    }
                }
                Step::LoseWay => {
                    way.clear();
                    ann.send_again();
                }
                Step::NewWay { first } => {
                    other_way.append(&mut way);
                    if first {
                        other_way.drain(..).for_each(|batch| bob.receive(batch));
                    }
                    ann.send_again();
                }
            }
            prop_assert_eq!(&took[..], &told[..took.len()]);
        }
        // In the end all of them are there, or come back.
        ann.send_again();
        let taken = took.len();
        let mut ended = ann;
        ended.know(Vec::new(), Vec::new());
        let back: Vec<_> = std::iter::from_fn(|| ended.take_lost()).map(|(_, word)| word).collect();
        prop_assert!(back.len() >= told.len() - taken);
        prop_assert_eq!(&back[..], &told[told.len() - back.len()..]);
    }

    #[test]
    fn all_are_taken_in_the_end(lengths in proptest::collection::vec(0..2000usize, 0..100), losses in 0..5usize) {
        let (mut ann, mut bob) = (speaker(), Words::default());
        bob.know(known(&[1]), Vec::new());
        lengths.iter().for_each(|&length| ann.tell(2, &vec![7; length]).unwrap());
        let mut took = Vec::new();
        for _ in 0..=losses {
            // All but the first batch are lost with the way.
            while let Some(batch) = ann.next_batch(1, |_| true) {
                ann.sent(2, batch.words.len());
                bob.receive(batch);
            }
            ann.send_again();
        }
        while let Some((from, number, word)) = bob.take() {
            took.push(word.len());
            bob.taken(from, number);
        }
        prop_assert_eq!(took, lengths);
        if let Some(heard) = bob.next_heard(2, |_| true) {
            ann.heard(heard.by, heard.number);
            bob.acknowledged(1);
        }
        prop_assert!(ann.is_idle() && bob.is_idle());
    }
}
