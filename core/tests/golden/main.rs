//! Golden cases: the input lies beside the expected output. `UPDATE_GOLDEN=1` writes what is expected; a file that no case
//! reads fails.

mod explain;
mod inject;
mod install;
mod policies;
mod render;
mod translate;
