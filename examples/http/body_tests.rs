//! Tests of `body`: each body whole, at every split, and byte by byte.

use proptest::prelude::*;

use super::*;

/// More than any body here has, unless the test is about the limit.
const LIMIT: u64 = 1000;

/// Content, and what is behind the body; or why not. `None`: the body is not complete.
type Verdict = Result<Option<(Vec<u8>, Vec<u8>)>, Status>;

/// Reads a body as the reactor would: what is not taken is offered again, with more behind it.
fn read<'a>(framing: Framing, limit: u64, pieces: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    let body = Body::new(framing, limit).map_err(|refusal| refusal.status)?;
    let mut body = body.expect("a body that is not empty");
    let (mut kept, mut content, mut is_over) = (Vec::new(), Vec::new(), false);
    for piece in pieces {
        kept.extend_from_slice(piece);
        while !kept.is_empty() && !is_over {
            let piece = body.next(&kept).map_err(|refusal| refusal.status)?;
            content.extend_from_slice(piece.data);
            is_over = piece.is_last;
            let taken = piece.taken;
            kept.drain(..taken);
            if taken == 0 {
                break;
            }
        }
    }
    assert_eq!(body.received(), content.len() as u64);
    Ok(is_over.then_some((content, kept)))
}

fn read_at_every_split(framing: Framing, limit: u64, input: &[u8]) -> Verdict {
    let whole = read(framing, limit, [input]);
    for cut in 1..input.len() {
        let split = read(framing, limit, <[&[u8]; 2]>::from(input.split_at(cut)));
        assert_eq!(split, whole, "cut after byte {cut} of {:?}", String::from_utf8_lossy(input));
    }
    assert_eq!(read(framing, limit, input.chunks(1)), whole, "byte by byte");
    whole
}

#[track_caller]
fn check(input: &str, content: &str) {
    let verdict =
        read_at_every_split(Framing::Chunked, LIMIT, (input.to_owned() + "NEXT").as_bytes());
    assert_eq!(verdict, Ok(Some((content.into(), b"NEXT".into()))), "{input:?}");
}

#[track_caller]
fn check_refused(input: &str, status: Status) {
    assert_eq!(
        read_at_every_split(Framing::Chunked, LIMIT, input.as_bytes()),
        Err(status),
        "{input:?}"
    );
}

#[test]
fn a_length_says_where_the_body_ends() {
    let read =
        |length, input: &str| read_at_every_split(Framing::Length(length), LIMIT, input.as_bytes());
    assert_eq!(read(5, "helloNEXT"), Ok(Some((b"hello".into(), b"NEXT".into()))));
    assert_eq!(read(5, "hell"), Ok(None));
    assert_eq!(read(LIMIT + 1, "hell"), Err(Status::ContentTooLarge));
    assert!(Body::new(Framing::Length(0), 0).unwrap().is_none());
}

#[test]
fn chunks_are_joined() {
    check("0\r\n\r\n", "");
    check("5\r\nhello\r\n0\r\n\r\n", "hello");
    check("1\r\nh\r\n00B\r\nello\r\nworld\r\n0\r\n\r\n", "hello\r\nworld");
    check("000000000000000005\r\nhello\r\n000\r\n\r\n", "hello");
}

#[test]
fn extensions_and_trailers_are_dropped() {
    check("5;a\r\nhello\r\n0;b=\"c;d\"\r\n\r\n", "hello");
    check("5 \t; a = b\r\nhello\r\n0\r\n\r\n", "hello");
    check("5;a;b=c ;d=\"\";e=\"\\\"\u{e4}\\\\\"\r\nhello\r\n0;!#$%&'*+-.^_`|~9\r\n\r\n", "hello");
    check("0\r\nExpires: never\r\nX:\r\n\r\n", "");
    for trailer in
        ["no colon", ": no name", " folded: x", "a b: x", "a\0: x", "a: \rx", "Content-Length"]
    {
        check_refused(&format!("0\r\n{trailer}\r\n\r\n"), Status::BadRequest);
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for wrong in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        " 5\r\n",
        "5 \r\n",
        "5 5\r\n",
        "0x5\r\n",
        "5h\r\n",
        ";a\r\n",
        "5\nhello",
        "5;\nhello",
        "5;a\rb\r\n",
        "5;\0\r\n",
        "5;\r\n",
        "5;a;\r\n",
        "5;a;;b\r\n",
        "5;a \r\n",
        "5;=b\r\n",
        "5;a=\r\n",
        "5;a==b\r\n",
        "5;a=b c\r\n",
        "5;a b\r\n",
        "5;a[=b\r\n",
        "5;a={b}\r\n",
        "5;a=\"b\r\n",
        "5;a=\"b\\\"\r\n",
        "5;a=\"b\"c\r\n",
        "5;\"a\"\r\n",
        "5;\u{e4}\r\n",
        "1_0\r\n",
        "5\rhello\r\n",
        "5\r\nhelloX",
        "5\r\nhello\n",
        "5\r\nhello\rX",
        "5\r\nhello0\r\n",
        "0\r\nX: y\n",
        "0\r\n\n",
        "10000000000000000\r\n",
    ] {
        check_refused(wrong, Status::BadRequest);
    }
}

#[test]
fn a_body_has_its_limits() {
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    assert!(matches!(
        read(Framing::Chunked, 1000, [(chunk.repeat(2) + "0\r\n\r\n").as_bytes()]),
        Ok(Some(_))
    ));
    check_refused(&(chunk.repeat(2) + "1\r\n"), Status::ContentTooLarge);
    check_refused("ffffffffffffffff\r\n", Status::ContentTooLarge);
    let long = "x".repeat(MAX_LINE);
    check_refused(&format!("0;{long}"), Status::FieldsTooLarge);
    check_refused(&format!("0\r\nX: {long}"), Status::FieldsTooLarge);
    let many = |line: &str| line.repeat(MAX_EXTRAS / line.len() + 1);
    let read = |text: String| read(Framing::Chunked, u64::MAX, [text.as_bytes()]);
    assert_eq!(read(many("1;ext\r\nx\r\n")), Ok(None)); // only `;ext` counts
    assert_eq!(read(many("1;ext\r\nx\r\n").repeat(3)), Err(Status::FieldsTooLarge));
    assert_eq!(read("0\r\n".to_owned() + &many("X: y\r\n")), Err(Status::FieldsTooLarge));
}

proptest! {
    #[test]
    fn what_was_chunked_comes_out_again(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\n");
        let verdict = read_at_every_split(Framing::Chunked, LIMIT, &input);
        prop_assert_eq!(verdict, Ok(Some((chunks.concat(), Vec::new()))));
    }

    #[test]
    fn the_verdict_is_the_same_however_it_arrives(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "0", "1", "a", ";", "\r\n", "\n", "\r", " ", "x: y", "0\r\n", "1\r\nx\r\n", ":", "\0",
        ]), 1..12),
    ) {
        let _ = read_at_every_split(Framing::Chunked, LIMIT, pieces.concat().as_bytes());
    }
}
