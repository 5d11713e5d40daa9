//! What is queued to many, on its way: the same bytes, once.

use proptest::prelude::*;

use super::*;
use crate::{
    buffer::Pool,
    restart::transfer::record::{Record, VERSION},
};

/// What one output is made of: a buffer of those that all may have, or bytes of its own; and how much of it
/// was sent.
#[derive(Clone, Debug)]
struct Queued {
    pieces: Vec<Result<usize, usize>>,
    sent: usize,
}

fn any_queue(buffers: usize) -> impl Strategy<Value = Queued> {
    let piece = prop_oneof![(0..buffers).prop_map(Ok), (0usize..2000).prop_map(Err)];
    (proptest::collection::vec(piece, 0..6), 0usize..5000)
        .prop_map(|(pieces, sent)| Queued { pieces, sent })
}

fn buffers(lengths: &[usize]) -> Vec<Rc<[u8]>> {
    let buffer = |(at, &length)| -> Rc<[u8]> {
        (0..length).map(|byte| (byte * 7 + at) as u8).collect::<Vec<_>>().into()
    };
    lengths.iter().enumerate().map(buffer).collect()
}

fn output(queued: &Queued, buffers: &[Rc<[u8]>]) -> Output {
    let (mut output, mut pool) = (Output::default(), Pool::default());
    for piece in &queued.pieces {
        match *piece {
            Ok(buffer) => output.push_shared(&buffers[buffer], &mut pool),
            Err(length) => output.push(&vec![length as u8; length], &mut pool),
        }
    }
    output.advance(queued.sent.min(output.len()), &mut pool);
    output
}

/// How many bytes a record has for its output.
fn written(parts: &[Part]) -> usize {
    let bytes = |part: &Part| match part {
        Part::Own(own) => own.len(),
        Part::New { bytes, .. } => bytes.len(),
        Part::Shared { .. } => 0,
    };
    parts.iter().map(bytes).sum()
}

/// Through a record and back.
fn travel(parts: Vec<Part>) -> Vec<Part> {
    let record = Record { id: 1, session: Some(Vec::new()), output: parts, ..Record::default() };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    Record::decode(&mut bytes.as_slice()).expect("whole").expect("one").output
}

/// The buffers that an output refers to.
fn shared_of(output: &Output) -> Vec<*const u8> {
    let shared = |piece| match piece {
        Piece::Shared(bytes, _) => Some(bytes.as_ptr()),
        Piece::Own(_) => None,
    };
    output.pieces().filter_map(shared).collect()
}

proptest! {
    /// Whatever is queued to whom, however much of it was sent, and whoever stays behind after all: each one
    /// that goes has its bytes, for what it was said to cost, and no buffer goes along twice.
    #[test]
    fn everybody_has_the_same_bytes_and_each_buffer_goes_once(
        lengths in proptest::collection::vec(0usize..3000, 4),
        queues in proptest::collection::vec((any_queue(4), any::<bool>()), 0..12),
    ) {
        let buffers = buffers(&lengths);
        let outputs: Vec<_> = queues.iter().map(|(queued, _)| output(queued, &buffers)).collect();
        let mut sharing = Sharing::of(VERSION, outputs.iter());
        let mut arrived = SharedBuffers::default();
        let mut sent = 0;
        for (output, _) in outputs.iter().zip(&queues).filter(|(_, (_, goes))| *goes) {
            let cost = sharing.cost(output);
            let parts = sharing.write(output);
            prop_assert_eq!(written(&parts), cost);
            sent += cost;
            let again = arrived.read(travel(parts)).expect("all of it has come");
            prop_assert_eq!(again.to_vec(), output.to_vec());
        }
        let own: usize = queues.iter().flat_map(|(queued, _)| &queued.pieces).map(|piece| match piece {
            Err(length) => *length,
            Ok(buffer) if lengths[*buffer] < SHARE_FROM => lengths[*buffer],
            Ok(_) => SHARE_FROM, // the rest of one of which nearly all was sent
        }).sum();
        prop_assert!(sent <= own + lengths.iter().sum::<usize>(), "{sent}");
    }

    /// A program that knows no shared buffers has all of it in one field.
    #[test]
    fn for_a_reader_of_version_1_an_output_is_one_part(queued in any_queue(4)) {
        let output = output(&queued, &buffers(&[600, 1000, 2000, 3000]));
        let mut sharing = Sharing::of(1, [&output, &output].into_iter());
        prop_assert_eq!(sharing.cost(&output), output.len());
        let parts = sharing.write(&output);
        prop_assert!(parts.len() <= 1);
        prop_assert_eq!(SharedBuffers::default().read(parts).unwrap().to_vec(), output.to_vec());
    }
}

#[test]
fn those_who_share_memory_share_it_again() {
    let buffers = buffers(&[100_000]);
    let queued = |sent| Queued { pieces: vec![Ok(0), Err(10)], sent };
    let outputs: Vec<_> = (0..100).map(|at| output(&queued(1000 + at), &buffers)).collect();
    let mut sharing = Sharing::of(VERSION, outputs.iter());
    assert!(outputs.iter().all(|output| sharing.part_of_cost(output) == 990 + 10));
    let mut arrived = SharedBuffers::default();
    let (mut sent, mut places) = (0, Vec::new());
    for output in &outputs {
        sent += sharing.cost(output);
        let again = arrived.read(travel(sharing.write(output))).unwrap();
        assert_eq!(again.to_vec(), output.to_vec());
        places.push(shared_of(&again));
    }
    assert_eq!(sent, 100_000 - 1000 + 100 * 10, "what all have been sent does not go along");
    assert!(places[0].len() == 1 && places.iter().all(|place| *place == places[0]));
}

#[test]
fn one_that_nobody_else_waits_for_goes_as_its_own() {
    let output = output(&Queued { pieces: vec![Ok(0)], sent: 5 }, &buffers(&[1000]));
    assert_eq!(Sharing::of(VERSION, [&output].into_iter()).write(&output).len(), 1);
}

#[test]
fn what_has_not_come_is_refused() {
    let bytes: Rc<[u8]> = vec![1; 1000].into();
    let new = |number| Part::New { number, bytes: Rc::clone(&bytes) };
    let shared = |number, sent| Part::Shared { number, sent };
    for (parts, is_fine) in [
        (vec![new(7), shared(7, 1000)], true),
        (vec![new(7), shared(7, 0), shared(7, 0)], true),
        (vec![shared(7, 0)], false),
        (vec![new(7), shared(8, 0)], false),
        (vec![new(7), shared(7, 1001)], false),
        (vec![new(7), shared(7, u64::MAX)], false),
        (vec![new(7), Part::Own(vec![1]), shared(7, 1)], false),
        (vec![new(7), new(7)], false),
    ] {
        let read = SharedBuffers::default().read(parts.clone());
        assert_eq!(read.is_ok(), is_fine, "{parts:?}: {read:?}");
    }
}
