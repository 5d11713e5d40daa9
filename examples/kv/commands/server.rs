//! Commands about the server that fit nowhere else.

use super::super::resp::integer;
use super::{Answer, Call, Capitals, NOT_AN_INTEGER, SYNTAX, info::VERSION};

/// Seconds since 1970, and microseconds.
pub fn time(call: &mut Call<'_, '_>) -> Answer {
    let (seconds, micros) = call.state.wall.seconds(call.now);
    call.out.bulks(&[seconds.to_string(), micros.to_string()]);
    Ok(())
}

/// What a key takes in memory, with its share of the maps that it is in.
pub fn memory_usage(call: &mut Call<'_, '_>) -> Answer {
    let mut words = call.args.from(3);
    while let Some(word) = words.next() {
        let count = words.next().ok_or(SYNTAX)?;
        if Capitals::of(word).as_bytes() != b"SAMPLES" {
            return Err(SYNTAX);
        }
        integer(count).ok_or(NOT_AN_INTEGER)?; // of a value's parts; a string has none
    }
    match call.state.store.get(call.args.at(2), call.now) {
        Some(item) => call.out.int(item.memory() as i64),
        None => call.out.null(),
    }
    Ok(())
}

/// Each version of Redis draws a picture here.
pub fn lolwut(call: &mut Call<'_, '_>) -> Answer {
    let generations = call.out.conn.net.generation() + 1;
    let mut text = String::new();
    for row in 0..3 {
        for _ in 0..generations.min(20) {
            text.push_str(["  /\\  ", " /__\\ ", "  ||  "][row]);
        }
        text.push('\n');
    }
    text.push_str(&format!("\nA tree for each generation. Redis ver. {VERSION}\n"));
    call.out.text(text.as_bytes());
    Ok(())
}
