//! Crashes of the real server, under load, with an oracle.
//!
//! A *lane* is a server with one data directory that goes on through many rounds. In each round several workers send generated
//! operations, the server is killed (and the power cut, see [`crate::lossy`]), it is started again, sometimes killed once more in the
//! middle of that, and then everything is read back:
//!
//! - what was acknowledged is there;
//! - of each worker's one operation in flight everything is there or nothing;
//! - bytes that were written UNSTABLE and not committed are old or new, each by itself;
//! - a change attribute that was promised does not go back;
//! - a handle from before names the same file, or one that was removed and is stale;
//! - the server counts the inodes that can be reached, and now and then, after its backlog has drained, its counters and the files of
//!   its segments and objects are what the tree has.
//!
//! The same generator and the same oracle also work through a mount of a real Linux client; see `crash/mounted.rs`.

mod content;
mod dice;
mod generate;
mod lane;
mod leaks;
mod model;
mod mounted;
mod observe;
mod oracle;
mod report;
mod worker;

pub use dice::Dice;
pub(crate) use dice::noise;
pub use lane::{Directory, Means, Plan, run};
pub use mounted::{MountedPlan, run_mounted, work_on_mount};
pub use report::Report;
