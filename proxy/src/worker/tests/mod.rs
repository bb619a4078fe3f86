//! The data path from outside: real sockets on loopback, configurations written by hand, answers and counters compared.

mod certificates;
mod harness;

mod authorization;
mod capture;
mod failure;
mod forward;
mod health;
mod http2;
mod life;
mod mutual_tls;
mod rate_limit;
mod refuse;
mod tcp;
mod telemetry;
mod tls;
