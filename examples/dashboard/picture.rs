//! One picture as one line of JSON. Pure layout.
//!
//! ```text
//! { "at": 1700000000000,                                                          ms: up to when it counts
//!   "generations": [ { "number": 1, "pid": 4711, "engine": "fork", "phase": "serving", "age": 1.5,
//!                      "connections": 102, "memory": 3400, "worker": null } ],
//!                                                    newest first, of each worker; null: not known, or of none
//!   "clients": { "1": [1,2,3] },                       by the process that answered last; "0.1" of worker 0
//!   "answers": [ { "generation": 1, "count": 50, "median": 90, "longest": 400 } ],   microseconds
//!   "answered": 5000, "failed": 0, "wanted": 100, "doomed": false,                    doomed: the next one is to fail
//!   "journal": [ { "number": 1, "at": 1700000000000, "kind": "started", "text": "..." } ],       oldest first
//!   "restart": { ... } }                                          the last one, as `word` has it; or null
//! ```

use std::{collections::BTreeMap, fmt::Display};

use super::{clients::Clients, generations::Generation, journal::Journal, place::Place};

pub fn lay_out(
    generations: &[Generation],
    clients: &mut Clients,
    journal: &Journal,
    restart: &Option<String>,
    doomed: bool,
    at: u128,
) -> String {
    let mut dots: BTreeMap<Place, Vec<u64>> = BTreeMap::new();
    for (&number, place) in &clients.here {
        place.iter().for_each(|place| dots.entry(*place).or_default().push(number));
    }
    let dots = dots.iter().map(|(place, dots)| format!("\"{place}\":[{}]", join(dots)));
    let answers = clients.take_answers();
    let answers = answers.iter().map(|answers| {
        format!(
            "{{\"generation\":{},\"count\":{},\"median\":{},\"longest\":{}}}",
            answers.generation, answers.count, answers.median, answers.longest
        )
    });
    format!(
        "{{\"at\":{at},\"generations\":[{}],\"clients\":{{{}}},\"answers\":[{}],\"answered\":{},\"failed\":{},\
         \"wanted\":{},\"doomed\":{doomed},\"journal\":[{}],\"restart\":{}}}\n",
        join(generations.iter().map(generation)),
        join(dots),
        join(answers),
        clients.answered,
        clients.failed,
        clients.wanted,
        join(journal.lines()),
        or_null(restart)
    )
}

fn generation(it: &Generation) -> String {
    format!(
        "{{\"number\":{},\"pid\":{},\"engine\":\"{}\",\"phase\":\"{}\",\"age\":{},\"connections\":{},\
         \"memory\":{},\"worker\":{}}}",
        it.place.generation,
        it.pid,
        it.engine,
        it.phase,
        or_null(&it.age),
        or_null(&it.connections),
        or_null(&it.memory),
        or_null(&it.place.worker)
    )
}

fn or_null(value: &Option<impl Display>) -> String {
    value.as_ref().map_or("null".to_owned(), ToString::to_string)
}

fn join(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(",")
}
