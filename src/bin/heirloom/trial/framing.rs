//! Where an answer ends: lines, RESP, HTTP/1.1. As much of each as a client that asks one thing needs. Pure.

use std::ops::Range;

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Partial,
    /// An answer of `length` bytes; where its payload is; what makes it bad, if it says so itself.
    Whole {
        length: usize,
        payload: Range<usize>,
        bad: Option<String>,
    },
    /// What cannot be the start of an answer.
    Broken(&'static str),
}

impl Frame {
    /// All of it is payload.
    pub fn good(length: usize) -> Frame {
        Frame::Whole { length, payload: 0..length, bad: None }
    }
}

/// The line that begins at `from`: where it ends, and where the next one begins.
fn line_at(input: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(from..)?;
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    Some((rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]), from + end + 1))
}

/// The payload is the line without its end.
pub fn line(input: &[u8]) -> Frame {
    match line_at(input, 0) {
        None => Frame::Partial,
        Some((text, length)) => Frame::Whole { length, payload: 0..text.len(), bad: None },
    }
}

/// One value of RESP 2 or 3. The payload is all of it, but for the last line end.
pub fn redis(input: &[u8]) -> Frame {
    let mut at = 0;
    let mut values = 1u64;
    while values > 0 {
        let Some((text, next)) = line_at(input, at) else { return Frame::Partial };
        let Some((kind, rest)) = text.split_first() else { return Frame::Broken("an empty line") };
        let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse::<i64>().ok());
        at = next;
        values -= 1;
        match (kind, number) {
            (b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(', _) => {}
            (b'$' | b'!' | b'=', Some(length)) => {
                let length = usize::try_from(length).map_or(0, |length| length.saturating_add(2));
                at = at.saturating_add(length);
            }
            (b'*' | b'~' | b'>', Some(count)) => {
                values = values.saturating_add(count.max(0) as u64)
            }
            (b'%', Some(count)) => values = values.saturating_add(2 * count.max(0) as u64),
            _ => return Frame::Broken("this is no reply of redis"),
        }
        if at > input.len() {
            return Frame::Partial;
        }
    }
    let payload = 0..at - if input[..at].ends_with(b"\r\n") { 2 } else { 1 };
    let is_bad = matches!(input.first(), Some(b'-' | b'!'));
    let bad = is_bad.then(|| shown(&input[payload.clone()]));
    Frame::Whole { length: at, payload, bad }
}

/// One response. The payload is its body, with the marks of chunks where it has some.
pub fn http(input: &[u8]) -> Frame {
    let Some((status, mut at)) = line_at(input, 0) else { return Frame::Partial };
    let code = status.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
    let Some(code) = code else { return Frame::Broken("this is no response of HTTP/1") };
    let (mut length, mut is_chunked) = (None, false);
    loop {
        let Some((text, next)) = line_at(input, at) else { return Frame::Partial };
        at = next;
        let Some(colon) = text.iter().position(|&byte| byte == b':') else {
            if text.is_empty() {
                break;
            }
            return Frame::Broken("a header without a colon");
        };
        let value = text[colon + 1..].trim_ascii();
        if text[..colon].eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|value| value.parse::<usize>().ok());
        }
        if text[..colon].eq_ignore_ascii_case(b"transfer-encoding") {
            is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        }
    }
    let end = match (code, length) {
        (100..=199, _) => return after_interim(input, at),
        (204 | 304, _) => Some(at),
        _ if is_chunked => match chunks_end(input, at) {
            Err(why) => return Frame::Broken(why),
            Ok(end) => end,
        },
        (_, Some(length)) => Some(at.saturating_add(length)).filter(|&end| end <= input.len()),
        _ => return Frame::Broken("the response has neither a length nor chunks"),
    };
    let Some(end) = end else { return Frame::Partial };
    let bad = (!(200..=299).contains(&code)).then(|| format!("status {code}"));
    Frame::Whole { length: end, payload: at..end, bad }
}

/// A response that tells of another one is none by itself (RFC 9110, section 15.2).
fn after_interim(input: &[u8], at: usize) -> Frame {
    match http(&input[at..]) {
        Frame::Whole { length, payload, bad } => {
            Frame::Whole { length: at + length, payload: at + payload.start..at + payload.end, bad }
        }
        other => other,
    }
}

/// Where the chunks that begin at `at` end, with their trailer.
fn chunks_end(input: &[u8], mut at: usize) -> Result<Option<usize>, &'static str> {
    loop {
        let Some((text, next)) = line_at(input, at) else { return Ok(None) };
        let digits = text.split(|&byte| byte == b';').next().unwrap_or(text).trim_ascii();
        let size = std::str::from_utf8(digits).ok();
        let size = size.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size.ok_or("a chunk without a size")?;
        if size > 0 {
            at = next.saturating_add(size).saturating_add(2);
            continue;
        }
        at = next;
        while let Some((text, next)) = line_at(input, at) {
            at = next;
            if text.is_empty() {
                return Ok(Some(at));
            }
        }
        return Ok(None);
    }
}

/// The start of what somebody has said.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of `whole`, of which every start is partial, and behind which more may come.
    fn payload(frame: fn(&[u8]) -> Frame, whole: &[u8]) -> Vec<u8> {
        for cut in 0..whole.len() {
            assert_eq!(frame(&whole[..cut]), Frame::Partial, "{:?}", shown(&whole[..cut]));
        }
        let more = [whole, b"+"].concat();
        let Frame::Whole { length, payload, .. } = frame(&more) else {
            panic!("{:?}", frame(&more))
        };
        assert_eq!(length, whole.len());
        whole[payload].to_vec()
    }

    #[test]
    fn replies_of_redis_end_where_they_say() {
        for (whole, expected) in [
            (&b"+OK\r\n"[..], &b"+OK"[..]),
            (b"$-1\r\n", b"$-1"),
            (b"$5\r\na\r\nbc\r\n", b"$5\r\na\r\nbc"),
            (b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n", b"*2\r\n*1\r\n:1\r\n$0\r\n"),
            (b"%1\r\n+a\r\n#t\r\n", b"%1\r\n+a\r\n#t"),
        ] {
            assert_eq!(payload(redis, whole), expected);
        }
        assert_eq!(redis(b"hello\r\n"), Frame::Broken("this is no reply of redis"));
    }

    #[test]
    fn responses_of_http_end_where_they_say() {
        for (whole, body) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..], &b"hi"[..]),
            (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nT: u\r\n\r\n",
             b"2;a=b\r\nhi\r\n0\r\nT: u\r\n\r\n"),
            (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\ncontent-length:1\r\n\r\n!", b"!"),
        ] {
            assert_eq!(payload(http, whole), body);
        }
        for broken in ["nonsense\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nx\r\n\r\n"] {
            assert!(matches!(http(broken.as_bytes()), Frame::Broken(_)), "{broken}");
        }
    }
}
