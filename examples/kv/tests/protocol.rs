//! The protocol's readers and writers: at every split, on garbage, at the limits, and against each other.

use proptest::prelude::*;

use super::super::{
    reply::{Reply, reply},
    request::{MAX_COMMAND, Malformed, Reader, Request},
    resp::{self, Decimal, Line, MAX_BULK, MAX_LINE},
};

type Read = Result<Result<(Vec<Vec<u8>>, usize), usize>, Malformed>;

/// What is read: the words and the bytes taken, or how many bytes are wanted, or what is wrong.
fn read(input: &[u8]) -> Read {
    Ok(match Reader::default().read(input)? {
        Request::Whole(args, taken) => Ok((args.from(0).map(<[u8]>::to_vec).collect(), taken)),
        Request::Part { want } => Err(want),
    })
}

fn command(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    resp::array(&mut bytes, words.len());
    words.iter().for_each(|word| resp::bulk(&mut bytes, word.as_ref()));
    bytes
}

#[test]
fn inline_words_and_quotes() {
    for (line, words) in [
        ("get k", Some(&["get", "k"][..])),
        ("  get\tk  \r", Some(&["get", "k"])),
        ("", Some(&[])),
        ("\r", Some(&[])),
        ("echo \"a b\" 'c d'", Some(&["echo", "a b", "c d"])),
        ("echo \"\\x41\\n\\\"\\q\\xzz\"", Some(&["echo", "A\n\"qxzz"])),
        ("echo '\\'\\n'", Some(&["echo", "'\\n"])),
        ("echo foo\"bar\"", Some(&["echo", "foobar"])),
        ("echo \"\"", Some(&["echo", ""])),
        ("echo a\0b c", Some(&["echo", "a"])),
        ("echo \"a\"b", None),
        ("echo \"a", None),
        ("echo 'a", None),
        ("echo \"a\\", None),
    ] {
        let input = format!("{line}\n");
        let words = words.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect());
        let expected = words.map_or(Err(Malformed::Quotes), |words| Ok(Ok((words, input.len()))));
        assert_eq!(read(input.as_bytes()), expected, "{line:?}");
    }
}

#[test]
fn what_is_wanted_covers_what_is_known() {
    assert_eq!(read(b"*2\r\n"), Ok(Err(4 + 6 + 6)));
    assert_eq!(read(b"*2\r\n$5\r\nab"), Ok(Err(4 + 4 + 5 + 2 + 6)));
    assert_eq!(read(b"*1\r\n$536870912\r\n"), Ok(Err(4 + 12 + MAX_BULK + 2)));
    assert_eq!(read(b"*1000000\r\n"), Ok(Err(10 + 6_000_000)));
}

#[test]
fn limits_hold_at_their_very_byte() {
    assert_eq!(read(b"*1\r\n$536870913\r\n"), Err(Malformed::BulkLength));
    assert_eq!(read(b"*1048576\r\n").map(|part| part.is_err()), Ok(true));
    assert_eq!(read(b"*1048577\r\n"), Err(Malformed::ArrayLength));
    for (start, verdict) in [
        (&b"*"[..], Malformed::ArrayLineTooLong),
        (b"*1\r\n$", Malformed::BulkLineTooLong),
        (b"x", Malformed::InlineTooLong),
    ] {
        let line = start.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let longest = [start, &b"1".repeat(line + MAX_LINE - start.len())].concat();
        assert_eq!(read(&longest), Ok(Err(longest.len() + 1)));
        assert_eq!(read(&[&longest[..], b"1"].concat()), Err(verdict));
    }
    // Two of the longest bulks are too much for one command, if only just.
    let head = b"*3\r\n$1\r\na\r\n$536870912\r\n";
    assert_eq!(read(head), Ok(Err(head.len() + MAX_BULK + 2 + 6)));
    const { assert!(MAX_COMMAND < 2 * MAX_BULK + 100) };
}

#[test]
fn many_arguments_leave_no_memory_behind() {
    let mut reader = Reader::default();
    let input = command(&vec!["x"; 100_000]);
    assert!(matches!(reader.read(&input), Ok(Request::Whole(args, _)) if args.len() == 100_000));
    let _ = reader.read(b"*1\r\n");
    assert!(format!("{reader:?}").len() < 200);
}

#[test]
fn errors_stay_on_their_line() {
    let mut out = Vec::new();
    resp::error(&mut out, b"ERR a\r\nb\n");
    assert_eq!(out, b"-ERR a  b \r\n");
}

#[test]
fn a_line_is_the_same_however_much_is_there() {
    assert_eq!(resp::line(b"+OK\r\nx"), Line::Whole(b"+OK", 5));
    assert_eq!(resp::line(b"+OK\r"), Line::Part);
    assert_eq!(resp::line(b"+OK\rx"), Line::Torn);
    let long = [&b"x".repeat(MAX_LINE)[..], b"\r\n"].concat();
    assert_eq!(resp::line(&long), Line::Whole(&long[..MAX_LINE], MAX_LINE + 2));
    assert_eq!(resp::line(&long[..MAX_LINE]), Line::Part);
    assert_eq!(resp::line(&[b"x", &long[..]].concat()), Line::TooLong);
    assert_eq!(resp::line(&b"x".repeat(MAX_LINE + 1)), Line::TooLong);
}

#[test]
fn integers_are_written_in_one_way() {
    for value in [0, 1, -1, 9, 10, -10, i64::MAX, i64::MIN] {
        assert_eq!(resp::integer(Decimal::new(value).as_bytes()), Some(value));
        assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
    }
    for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "1x", "-01"] {
        assert_eq!(resp::integer(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(resp::integer(b"-9223372036854775809"), None);
}

#[test]
fn replies_nest_but_not_without_end() {
    let input = b"*3\r\n:1\r\n*2\r\n+a\r\n$-1\r\n*-1\r\n-ERR x\r\n";
    let inner = Reply::Array(vec![Reply::Simple(b"a"), Reply::Null]);
    let outer = Reply::Array(vec![Reply::Int(1), inner, Reply::Null]);
    assert_eq!(reply(input), Ok(Some((outer, input.len() - 8))));
    assert!(reply(&b"*1\r\n".repeat(1000)).is_err());
    assert_eq!(reply(b"*1000000000\r\n"), Ok(None));
}

#[test]
fn version_3_has_more_kinds_of_replies() {
    let input = b"%1\r\n+a\r\n~2\r\n:1\r\n_\r\n>1\r\n=6\r\ntxt:ok\r\n";
    let set = Reply::Set(vec![Reply::Int(1), Reply::Null]);
    let map = Reply::Map(vec![Reply::Simple(b"a"), set]);
    assert_eq!(reply(input), Ok(Some((map, 19))));
    let push = Reply::Push(vec![Reply::Text(b"ok")]);
    assert_eq!(reply(&input[19..]), Ok(Some((push, input.len() - 19))));
    assert!(reply(b"=5\r\nmkd:x\r\n").is_err());
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'$'), any::<u8>()];
    prop::collection::vec(prop::collection::vec(byte, 0..12), 0..6)
}

/// Bytes as they are found in commands, in any order.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "*", "$", "%", "~", ">", "=", "_", "txt:", "\r\n", "\n", "-1", "0", "1", "2", "GET",
            "\"", "'", " ", "\\"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// What is found in short is what is found by looking closely, and no short number is missed.
    #[test]
    fn a_short_head_is_a_head(garbage in "[$019x\r\n]{0,9}", number in 0usize..1000) {
        if let Some((value, taken)) = resp::short_head(garbage.as_bytes(), b'$') {
            let Line::Whole([b'$', digits @ ..], end) = resp::line(garbage.as_bytes()) else {
                panic!("{garbage:?} is no head");
            };
            prop_assert_eq!((resp::integer(digits), end), (Some(value as i64), taken));
        }
        let head = format!("${number}\r\n");
        prop_assert_eq!(resp::short_head(head.as_bytes(), b'$'), Some((number, head.len())));
    }

    /// A command that is written is read, and each beginning of it asks for more, but never for more
    /// than there is to come.
    #[test]
    fn a_written_command_is_read(words in words(), rest in any::<Vec<u8>>()) {
        let bytes = command(&words);
        prop_assert_eq!(read(&[&bytes[..], &rest[..]].concat()), Ok(Ok((words, bytes.len()))));
        for cut in 1..bytes.len() {
            match read(&bytes[..cut]) {
                Ok(Err(want)) => prop_assert!(cut < want && want <= bytes.len(), "{} {}", cut, want),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// Whatever comes: a beginning of it is read as the whole is, or asks for more, and says truly how
    /// much.
    #[test]
    fn garbage_is_read_the_same_at_every_split(input in garbage()) {
        let whole = read(&input);
        for cut in 1..input.len() {
            match read(&input[..cut]) {
                Ok(Err(want)) => {
                    prop_assert!(want > cut);
                    let early = want > input.len() && !matches!(whole, Ok(Err(_)) | Err(_));
                    prop_assert!(!early, "wants {} of {:?}", want, whole);
                }
                part => prop_assert_eq!(&part, &whole),
            }
        }
    }

    /// The same for replies.
    #[test]
    fn garbage_is_no_reply(input in garbage()) {
        let whole = reply(&input);
        for cut in 0..input.len() {
            match reply(&input[..cut]) {
                Ok(None) => {}
                part => prop_assert_eq!(&part, &whole),
            }
        }
    }

    #[test]
    fn a_written_reply_is_read(words in words(), number in any::<i64>()) {
        let mut bytes = Vec::new();
        resp::array(&mut bytes, words.len() + 2);
        words.iter().for_each(|word| resp::bulk(&mut bytes, word));
        resp::int(&mut bytes, number);
        bytes.extend(b"$-1\r\n");
        let items = words.iter().map(|word| Reply::Bulk(word));
        let items = items.chain([Reply::Int(number), Reply::Null]).collect();
        prop_assert_eq!(reply(&bytes), Ok(Some((Reply::Array(items), bytes.len()))));
        for cut in 0..bytes.len() {
            prop_assert_eq!(reply(&bytes[..cut]), Ok(None));
        }
    }
}
