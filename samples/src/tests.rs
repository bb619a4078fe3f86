//! Each program over loopback, on a port that the kernel picks.

mod manifests;
mod programs;
mod protocols;
