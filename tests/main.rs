//! What is promised about sockets and processes: one file per promise, and all of them in one program, which is linked once and
//! waits for many of them at a time ([`runner`]).
//!
//! A new file has its line here (`layers::every_file_of_tests_is_run` looks) and begins with `use crate::common::...`. A test is
//! called by its file: `cargo test --test promises eof::` runs those of `eof.rs`. Each test has its process to itself.

#![allow(clippy::duplicate_mod)] // examples with unit tests are here whole, each with its own copy of what examples share

#[macro_use]
mod common;
mod runner;

mod accept;
mod alarms;
mod bad_input;
mod callbacks;
mod capacity;
mod chain;
mod chat;
#[cfg(feature = "postgres")]
mod clients;
mod closing;
mod command_line;
mod control;
mod conversations;
mod copying;
mod copying_changes;
mod cut;
mod dashboard;
mod dashboard_browser;
#[cfg(feature = "tls")]
mod dashboard_tls;
mod datagrams;
mod datagrams_asked;
mod deferred;
mod demo;
mod dial;
mod docs;
mod drain;
mod ended;
mod eof;
mod failed_restart;
mod fairness;
mod faults;
mod fds;
mod fleet;
mod forgetting;
mod ghosts;
mod handing_back;
mod harness_restart;
mod health;
mod holds;
mod http;
mod http_curl;
mod http_probes;
mod http_restart;
mod identity;
mod idle;
mod inventory;
mod jobs;
mod jobs_worker;
mod journal;
mod journald;
mod kubernetes;
mod kv;
mod kv_clients;
mod kv_redis;
mod kv_restart;
mod kv_tcl;
mod lame_duck;
mod last_call;
mod layers;
mod leaving;
mod leaving_cost;
mod leaving_in_memory;
mod ledger;
mod lessons;
mod listeners;
mod load;
mod logging;
mod mailbox;
#[cfg(feature = "metrics")]
mod metrics;
mod moving;
mod moving_back_load;
mod moving_limits;
mod moving_load;
mod moving_tools;
mod mqtt;
mod mqtt_tools;
#[cfg(feature = "names")]
mod names;
#[cfg(feature = "names")]
mod names_restart;
mod on_disk;
mod one_generation;
mod operator;
mod out_of_descriptors;
mod outbound;
mod panics;
mod passed_on;
mod paths;
mod per_process;
mod played;
mod prepare;
mod pressure;
mod program;
#[cfg(feature = "metrics")]
mod prometheus;
mod proxy_protocol;
mod regressions;
mod restart_exec;
mod restart_fork;
mod scenarios;
mod serde_types;
mod sessions;
mod shared_output;
mod side_by_side;
mod signals;
mod silence;
mod socket_options;
mod state_load;
mod stderr;
mod store;
mod supervised;
mod surroundings;
mod syscalls;
mod systemd;
mod threads;
mod timeouts;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_bad_input;
#[cfg(feature = "tls")]
mod tls_clients;
#[cfg(feature = "tls")]
mod tls_conformance;
#[cfg(feature = "tls")]
mod tls_cost;
#[cfg(feature = "tls")]
mod tls_ends;
#[cfg(feature = "tls")]
mod tls_moving;
#[cfg(feature = "tls")]
mod tls_moving_load;
#[cfg(feature = "tls")]
mod tls_restart;
#[cfg(feature = "tls")]
mod tls_tickets;
#[cfg(feature = "tls")]
mod tls_tools;
mod trial;
mod trial_others;
mod triggers;
mod under_systemd;
mod units_chat;
mod units_dashboard;
mod units_echo;
mod units_http;
mod units_kv;
mod units_mqtt;
mod unix;
mod unix_names;
mod wait;
mod watching;
mod words;
mod workers;
