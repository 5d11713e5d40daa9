//! A stream there and back; cut, repeated, garbled, and longer than it says.

use super::*;
use proptest::prelude::*;

/// Written in pieces of these lengths.
fn stream(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out).unwrap();
    let mut rest = bytes;
    for cut in cuts.iter().cycle().take(1000) {
        let (piece, more) = rest.split_at((*cut).min(rest.len()));
        writer.write_all(piece).unwrap();
        rest = more;
    }
    writer.write_all(rest).unwrap();
    writer.finish().unwrap();
    out
}

/// Everything that is read, to the end and beyond it.
fn read(stream: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = Reader::of(stream);
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes).and_then(|_| reader.finish());
    match read {
        Ok(count) => {
            assert_eq!(count, bytes.len() as u64);
            Ok(bytes)
        }
        Err(e) => {
            assert_eq!(reader.failure(), Some(e.to_string().as_str()));
            let again = reader.fill_buf().unwrap_err().to_string();
            assert_eq!(again, e.to_string(), "it comes again");
            Err(e.to_string())
        }
    }
}

fn frame(kind: u8, offset: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 0, 0, 0];
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(bytes);
    out
}

/// Frames behind the head of a stream.
fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    let head = stream(b"", &[1])[..8].to_vec();
    [head, frames.concat()].concat()
}

#[test]
fn a_stream_of_many_pieces_is_what_was_written() {
    let bytes: Vec<u8> = (0..5 * PIECE + 77).map(|at| (at % 251) as u8).collect();
    for cuts in [vec![1], vec![PIECE], vec![PIECE + 1, 3], vec![10 * PIECE]] {
        assert_eq!(read(&stream(&bytes, &cuts)), Ok(bytes.clone()));
    }
}

#[test]
fn no_frame_is_longer_than_a_piece() {
    let bytes = vec![7; 3 * PIECE];
    let frames = bytes.len() / PIECE + 1; // and the end
    assert_eq!(stream(&bytes, &[3 * PIECE]).len(), 8 + bytes.len() + frames * HEAD);
}

#[test]
fn each_thing_that_is_wrong_has_its_words() {
    let cases = [
        (b"HTTP/1.1".to_vec(), "state: this is none"),
        ([b"hrls".as_slice(), &[9, 0, 0, 0]].concat(), "version 9, this program reads 1"),
        (
            framed(&[frame(BYTES, 0, b"ab"), frame(BYTES, 0, b"ab")]),
            "byte 2 was to come, and byte 0",
        ),
        (
            framed(&[frame(BYTES, 0, b"ab"), frame(BYTES, 4, b"ef")]),
            "byte 2 was to come, and byte 4",
        ),
        (framed(&[frame(BYTES, 0, b"ab"), frame(END, 1, b"")]), "byte 2 was to come, and byte 1"),
        (framed(&[frame(END, 0, b"x")]), "a piece of 1 bytes at byte 0 is too long"),
        (framed(&[frame(BYTES, 0, &vec![0; PIECE + 1])]), "is too long"),
        (framed(&[frame(77, 0, b"")]), "a frame of kind 77"),
        (framed(&[frame(BYTES, 0, b"ab"), frame(ERROR, 2, b"no disk")]), "no disk"),
        (framed(&[frame(BYTES, 0, b"ab")]), "cut off after 2 bytes"),
        (framed(&[frame(END, 0, b""), frame(BYTES, 0, b"x")]), "more follows its end"),
    ];
    for (bytes, expected) in cases {
        let why = read(&bytes).unwrap_err();
        assert!(why.contains(expected), "{why:?}, not {expected:?}");
    }
}

#[test]
fn the_words_of_who_could_not_go_on_come_behind_what_was_written() {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out).unwrap();
    writer.write_all(b"half").unwrap();
    writer.fail("the other half is lost").unwrap();
    let mut reader = Reader::of(out.as_slice());
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"half");
    assert_eq!(reader.finish().unwrap_err().to_string(), "the other half is lost");
}

#[test]
fn what_is_left_unread_is_found_out() {
    let bytes = stream(b"abcdef", &[2]);
    let mut reader = Reader::of(bytes.as_slice());
    reader.read_exact(&mut [0; 4]).unwrap();
    let why = reader.finish().unwrap_err().to_string();
    assert_eq!(why, "the rest of the state, from byte 4 on, was left unread");
}

#[test]
fn nothing_is_a_stream_too() {
    let bytes = stream(b"", &[1]);
    let mut reader = Reader::of(bytes.as_slice());
    assert!(reader.is_empty().unwrap());
    assert_eq!(reader.finish().unwrap(), 0);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        cuts in proptest::collection::vec(0usize..500, 1..5),
    ) {
        prop_assert_eq!(read(&stream(&bytes, &cuts)), Ok(bytes));
    }

    #[test]
    fn a_cut_stream_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..3000), cut in 1usize..4000) {
        let all = stream(&bytes, &[700]);
        let cut = cut.min(all.len());
        let why = read(&all[..all.len() - cut]).unwrap_err();
        prop_assert!(why.starts_with("state: cut off after "), "{}", why);
    }

    #[test]
    fn a_changed_byte_is_an_error_or_is_in_the_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..400, to: u8,
    ) {
        let mut all = stream(&bytes, &[100]);
        let at = at % all.len();
        all[at] = to;
        if let Ok(read) = read(&all) {
            prop_assert_eq!(read.len(), bytes.len());
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&framed(&[bytes]));
    }
}
