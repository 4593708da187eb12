# $1 is the bin directory of the toolchain.
export PATH=$1:$PATH HOME=/tmp CARGO_HOME=/tmp/cargo-home
unset CARGO_TARGET_DIR RUSTFLAGS RUSTC_WRAPPER
cd /mnt
cargo new --quiet --vcs none --name tide work
cd work
cat > src/main.rs <<'RUST'
mod depth;
fn main() { println!("{}", depth::of(6)); }
RUST
echo 'pub fn of(n: u32) -> u32 { n * 7 }' > src/depth.rs
cargo build --offline --quiet
[ "$(target/debug/tide)" = 42 ]
cargo build --offline 2>&1 | grep -q Finished
echo 'pub fn of(n: u32) -> u32 { n * 8 }' > src/depth.rs
cargo build --offline --quiet
[ "$(target/debug/tide)" = 48 ]
cargo clean --quiet
[ ! -e target ]
