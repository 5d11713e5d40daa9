//! The demo's protocol, and the proof that no byte was lost, repeated or swapped. Pure: knows no
//! socket.
//!
//! One line asks, `NONCE LENGTH`. One line answers, `GENERATION PID ENGINE NONCE LETTERS`: who answers,
//! and LENGTH letters that follow from the nonce, so that the asker can work them out for itself.

/// The most letters that may be asked for.
pub const MAX_LENGTH: usize = 1 << 20;

/// A request line is shorter than this: two numbers.
pub const MAX_REQUEST: usize = 64;

/// Every so many requests ask for a long answer, which is under way for more than one turn of the
/// server: some of them in every restart.
const LONG_EVERY: u64 = 64;

/// More than a server writes to one connection in one turn (64 KiB).
const LONG: usize = 100_000;

/// Who has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub generation: u64,
    pub pid: i32,
    /// How that process was made: `none` for the first one, `fork`, `fork-exec`.
    pub engine: String,
}

/// What a nonce asks for: mostly something short, of any length.
pub fn length(nonce: u64) -> usize {
    if nonce.is_multiple_of(LONG_EVERY) { LONG } else { 1 + (mix(nonce) % 1000) as usize }
}

/// The request line.
pub fn request(nonce: u64) -> String {
    format!("{nonce} {}\n", length(nonce))
}

/// The nonce and the length of a request line, without its end.
pub fn parse_request(line: &[u8]) -> Option<(u64, usize)> {
    let (nonce, length) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let length = length.parse().ok().filter(|&length| length <= MAX_LENGTH)?;
    Some((nonce.parse().ok()?, length))
}

/// The answer line of `who` (`GENERATION PID ENGINE`), put at the end of `out`.
pub fn write_answer(out: &mut Vec<u8>, who: &str, nonce: u64, length: usize) {
    out.extend_from_slice(who.as_bytes());
    out.extend_from_slice(format!(" {nonce} ").as_bytes());
    out.extend(letters(nonce).take(length));
    out.push(b'\n');
}

/// Reads an answer line, without its end, and compares every byte of it.
pub fn check_answer(line: &[u8], nonce: u64) -> Result<Answer, String> {
    let mut fields = line.splitn(5, |&byte| byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let head = (|| {
        let (generation, pid) = (text()?.parse().ok()?, text()?.parse().ok()?);
        Some((Answer { generation, pid, engine: text()?.to_owned() }, text()?.parse::<u64>().ok()?))
    })();
    let (Some((answer, echoed)), Some(got)) = (head, fields.next()) else {
        return Err(format!("no answer: {}", String::from_utf8_lossy(&line[..line.len().min(60)])));
    };
    if echoed != nonce {
        return Err(format!("the answer to {echoed} instead of {nonce}"));
    }
    if got.len() != length(nonce) {
        return Err(format!("{} letters instead of {}", got.len(), length(nonce)));
    }
    match got.iter().zip(letters(nonce)).position(|(&got, expected)| got != expected) {
        Some(at) => Err(format!("letter {at} of {} is wrong", got.len())),
        None => Ok(answer),
    }
}

/// An endless text that follows from `nonce`. It differs from that of any other nonce from the
/// first letters on, and does not repeat, so that a piece in the wrong place is noticed.
fn letters(nonce: u64) -> impl Iterator<Item = u8> {
    let mut state = mix(nonce);
    std::iter::from_fn(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(b'a' + ((state >> 32) as u32 % 26) as u8)
    })
}

/// Spreads neighbouring numbers over all bits (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
