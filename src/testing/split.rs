//! A transcript, fed in every way in which it may arrive: most protocol bugs are at a cut.

use super::Harness;
use crate::service::Service;

/// Checks that `input` is answered by `output`, however it arrives: whole, cut in two at every byte,
/// and byte by byte. `service` makes a fresh one for each run.
///
/// # Panics
/// When an answer differs; the message says at which cut.
///
/// ```
/// # use heirloom::{Connection, Origin, Result, Service};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
/// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
/// #         conn.send(input);
/// #         Ok(input.len())
/// #     }
/// # }
/// heirloom::testing::every_split(|| Echo, b"one\ntwo\n", b"one\ntwo\n");
/// ```
pub fn every_split<S: Service>(service: impl Fn() -> S, input: &[u8], output: &[u8]) {
    check_splits(&service, input, output, |harness| harness);
}

/// The same with a [restart](Harness::restart) at each cut, which no client may notice: what `export`
/// forgets shows here.
///
/// # Panics
/// When an answer differs, or the state is not taken over; the message says at which cut.
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, codec};
///
/// /// Numbers the lines.
/// struct Number;
///
/// impl Service for Number {
///     type Session = u8;
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<u8> {
///         Ok(0)
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, lines: &mut u8, input: &[u8]) -> Result<usize> {
///         let Some((line, taken)) = codec::line(input, 100)? else { return Ok(0) };
///         *lines += 1;
///         conn.send(format!("{lines} {}\n", String::from_utf8_lossy(line)).as_bytes());
///         Ok(taken)
///     }
///     fn export(&self, lines: &u8) -> Option<Vec<u8>> {
///         Some(vec![*lines])
///     }
///     fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<u8> {
///         saved.first().copied().ok_or("not a number".into())
///     }
/// }
///
/// heirloom::testing::every_split_restarted(|| Number, b"one\ntwo\n", b"1 one\n2 two\n");
/// ```
pub fn every_split_restarted<S: Service>(service: impl Fn() -> S, input: &[u8], output: &[u8]) {
    check_splits(&service, input, output, |harness| {
        harness.restart(service()).expect("the new service takes over")
    });
}

/// `between` comes between two pieces.
fn check_splits<S: Service>(
    service: &impl Fn() -> S,
    input: &[u8],
    output: &[u8],
    between: impl Fn(Harness<S>) -> Harness<S>,
) {
    let check = |pieces: &[&[u8]], how: &dyn std::fmt::Display| {
        let mut harness = Harness::new(service());
        let peer = harness.connect();
        let mut answer = harness.take(peer);
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                harness = between(harness);
            }
            harness.feed(peer, piece);
            answer.extend(harness.take(peer));
        }
        assert!(
            answer == output,
            "{how}: the answer is {:?} instead of {:?}",
            String::from_utf8_lossy(&answer),
            String::from_utf8_lossy(output),
        );
    };
    check(&[input], &"whole");
    for cut in 1..input.len() {
        let (first, second) = input.split_at(cut);
        check(&[first, second], &format_args!("cut after byte {cut}"));
    }
    check(&input.chunks(1).collect::<Vec<_>>(), &"byte by byte");
}
