//! What a monitor is told: what all generations have counted, and what those that live use at the moment.

use crate::{
    clock::http_date,
    metrics::{Reading, Split, Usage},
    net::ConnId,
    operate::http::{Reply, Status, write_metrics},
    restart::link::{Identity, Report},
    service::Service,
    turn::Turn,
};

const NO_NUMBERS: Reply =
    Reply { status: Status::Unavailable, text: "this process has no memory for numbers" };

impl<S: Service> Turn<S> {
    /// All numbers, as a reply.
    pub(super) fn metrics(&mut self) -> String {
        match self.text() {
            Some(text) => format!("ok: OpenMetrics 1.0\n{text}"),
            None => "error: this process has no memory for numbers; its log says why".to_owned(),
        }
    }

    /// The same by HTTP.
    pub(super) fn answer_scrape(&mut self, id: ConnId, head_only: bool) {
        let reply = match self.text() {
            Some(text) => write_metrics(&text, head_only, &http_date()),
            None => NO_NUMBERS.write(head_only, &http_date()),
        };
        self.reply(id, &reply);
    }

    fn text(&mut self) -> Option<String> {
        self.net.publish();
        let gauges = self.gauges();
        self.net.metrics.as_ref().map(|metrics| metrics.text(&gauges))
    }

    fn gauges(&mut self) -> Vec<Reading> {
        let own = (self.succession.identity(&self.net), Some(self.report()));
        let old = self.succession.old.iter().filter(|old| !self.is_supervisor(old.who));
        let others = old.chain(&self.succession.older);
        let others = others.map(|it| (it.who, it.report.clone().filter(|_| !it.asked)));
        let all: Vec<_> = [own].into_iter().chain(others).collect();
        let pids: Vec<_> = all.iter().map(|(who, _)| who.pid).collect();
        self.succession.usages.keep(&pids);
        let mut gauges = vec![Reading {
            name: "heirloom_generations",
            help: "Generations that live: the one that serves, and those that drain.",
            labels: Vec::new(),
            value: all.len() as f64,
        }];
        for (who, report) in &all {
            let usage = self.with_reserve(|turn| {
                let clock = turn.net.clock.clone();
                turn.succession.usages.of(who.pid, || clock.now())
            });
            gauges.extend(describe(who, report.as_ref(), usage.ok()));
        }
        gauges
    }
}

/// What is so of one generation at the moment; what it has not said in time is left out.
fn describe(who: &Identity, report: Option<&Report>, usage: Option<Usage>) -> Vec<Reading> {
    let generation = || ("generation", who.generation.to_string());
    let engine = who.engine.map_or("none".to_owned(), |engine| engine.to_string());
    let phase = report.map_or("silent".to_owned(), |report| report.phase.clone());
    let mut gauges = vec![Reading {
        name: "heirloom_generation_info",
        help: "A generation that lives: its process, the engine that has made it, and what it does.",
        labels: vec![
            generation(),
            ("pid", who.pid.to_string()),
            ("engine", engine),
            ("phase", phase),
        ],
        value: 1.0,
    }];
    let mut say = |name, help, value: f64, more: Option<(&'static str, &str)>| {
        let more = more.map(|(key, value)| (key, value.to_owned()));
        let labels = [generation()].into_iter().chain(more).collect();
        gauges.push(Reading { name, help, labels, value });
    };
    if let Some(report) = report {
        let age = report.age.as_secs_f64();
        say(
            "heirloom_generation_age_seconds",
            "Since when the process serves or waits to.",
            age,
            None,
        );
        let (connections, holds) = (report.connections as f64, report.holds as f64);
        say("heirloom_connections", "Connections that are open or closing.", connections, None);
        say("heirloom_holds", "Work in hand that is no connection.", holds, None);
    }
    if let Some(Usage { resident, split, descriptors }) = usage {
        let help = "Memory that is there, in bytes, whoever else has it.";
        say("heirloom_resident_bytes", help, resident as f64, None);
        say("heirloom_descriptors", "Descriptors that are open.", descriptors as f64, None);
        let help = "Memory by whether other processes have it as well, such as the other side of a fork, in bytes. \
                    Not of processes over 256 MiB, where to look would take too long.";
        if let Some(Split { private, shared }) = split {
            say("heirloom_memory_bytes", help, private as f64, Some(("kind", "private")));
            say("heirloom_memory_bytes", help, shared as f64, Some(("kind", "shared")));
        }
    }
    gauges
}
