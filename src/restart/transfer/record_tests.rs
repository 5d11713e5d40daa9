//! Records: what is written is read, and nothing that comes does harm.

use super::*;
use proptest::prelude::*;

use super::super::silence::tests::any_silence;

fn any_time() -> impl Strategy<Value = Duration> {
    (0u64..1 << 40).prop_map(Duration::from_micros)
}

fn any_part() -> impl Strategy<Value = Part> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        bytes().prop_map(Part::Own),
        (any::<u64>(), bytes())
            .prop_map(|(number, bytes)| Part::New { number, bytes: bytes.into() }),
        any::<(u64, u64)>().prop_map(|(number, sent)| Part::Shared { number, sent }),
    ]
}

prop_compose! {
    fn any_record()(
        output in proptest::collection::vec(any_part(), 0..5),
        id in 1u64.., dialing: Option<u64>, awaits in proptest::option::of((any::<u64>(), ".{0,9}")),
        proxy in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        said in (proptest::option::of(".{0,20}"), proptest::collection::vec(any::<u8>(), 0..20)),
        destination in proptest::option::of(".{0,20}"),
        bytes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 3),
        numbers: [u64; 4], times in proptest::collection::vec(any_time(), 3),
        timers in proptest::collection::vec((any::<u64>(), any_time()), 0..4),
        silence in any_silence(),
    ) -> Record {
        Record {
            id,
            peer: bytes[0].clone(),
            session: (dialing.is_none() && awaits.is_none()).then(|| bytes[1].clone()),
            dialing: dialing.filter(|_| awaits.is_none()),
            awaits_tls: awaits.is_some() && numbers[0] % 2 == 1,
            awaits,
            proxy,
            proxy_said: said.clone(),
            destination,
            tls: said.1.first().map(|_| bytes[2].clone()),
            input: bytes[2].clone(),
            output,
            at_least: numbers[0],
            timers,
            age: times[0],
            idle: times[1],
            stalled: times[2],
            bytes_in: numbers[1],
            bytes_out: numbers[2],
            flags: numbers[3],
            silence,
        }
    }
}

fn decode_all(mut bytes: &[u8]) -> Result<Vec<Record>, Malformed> {
    std::iter::from_fn(|| Record::decode(&mut bytes).transpose()).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in proptest::collection::vec(any_record(), 0..10)) {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        prop_assert_eq!(decode_all(&bytes), Ok(records));
    }

    /// Of a dial, which has no socket and so no id; nothing else may be without one.
    #[test]
    fn a_dial_is_a_record_without_an_id(dialing: u64, destination in ".{1,20}", age in any_time()) {
        let dial = Record { dialing: Some(dialing), destination: Some(destination), age, ..Record::default() };
        let mut bytes = Vec::new();
        dial.encode(&mut bytes);
        prop_assert!(dial.is_of_dial());
        prop_assert_eq!(decode_all(&bytes), Ok(vec![dial.clone()]));
        for other in [
            Record { destination: None, ..dial.clone() },
            Record { dialing: None, session: Some(Vec::new()), ..dial },
        ] {
            let mut bytes = Vec::new();
            other.encode(&mut bytes);
            prop_assert!(!other.is_of_dial() && decode_all(&bytes).is_err());
        }
    }

    #[test]
    fn unknown_fields_are_skipped(record in any_record(), value in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        put(&mut bytes, 999, &value);
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        prop_assert_eq!(decode_all(&bytes), Ok(vec![record]));
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_all(&bytes);
        let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
        framed.extend(&bytes);
        let _ = decode_all(&framed);
    }

    #[test]
    fn a_record_that_is_cut_is_an_error(record in any_record(), cut in 1usize..100) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let cut = cut.min(bytes.len() - 1);
        prop_assert!(decode_all(&bytes[..cut]).is_err());
    }
}

/// Linear: ten times the records take no more than some ten times as long. Counted in steps, not in
/// time: each call looks at its own record only.
#[test]
fn a_hundred_thousand_records_are_read_one_by_one() {
    let record = Record { id: 1, session: Some(vec![7; 16]), ..Record::default() };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let one = bytes.len();
    let all = bytes.repeat(100_000);
    let mut rest = all.as_slice();
    for index in 1..=100_000 {
        assert_eq!(Record::decode(&mut rest), Ok(Some(record.clone())));
        assert_eq!(rest.len(), all.len() - index * one);
    }
}
