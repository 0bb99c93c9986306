//! Time and randomness, owned: one seed gives one run, to the byte.
//!
//! Rust's standard library asks the C library for both, LDK asks the standard library (the order of a hash map, the time of a
//! retry), and so do tokio and mayfly's core. So the two functions that they all come down to are defined here, and a thread
//! that has [`own`]ed itself gets numbers from its seed and a time that moves only when told. Other threads get the system's.

use std::cell::Cell;
use std::time::Duration;

/// Where simulated time begins: in 2026, so that an invoice's expiry and a block's time are usual numbers.
pub const BEGINNING: Duration = Duration::from_secs(1_780_000_000);

thread_local! {
    // No destructor and no lazy start: the functions below run at any moment of a thread's life.
    static STATE: Cell<u64> = const { Cell::new(0) };
    static NOW: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// From here on this thread's randomness comes from `seed`, and its clock stands still.
pub fn own(seed: u64, now: Duration) {
    STATE.set(seed);
    NOW.set(Some(now));
}

/// The owned time.
pub fn now() -> Duration {
    NOW.get().unwrap_or(BEGINNING)
}

/// Time passes.
pub fn pass(by: Duration) {
    NOW.set(NOW.get().map(|now| now + by));
}

/// SplitMix64: each number of the sequence is well mixed, whatever the seed.
pub fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// What the C library's function of this name does; see the module's head.
///
/// # Safety
/// `buffer` has room for `length` bytes.
#[no_mangle]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, length: libc::size_t, flags: libc::c_uint) -> isize {
    if NOW.get().is_none() {
        // SAFETY: the caller's buffer, as the system call wants it.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as isize;
    }
    // SAFETY: the caller says that there is room for so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    let mut state = STATE.get();
    bytes.fill_with(|| mix(&mut state) as u8);
    STATE.set(state);
    length as isize
}

/// What the C library's function of this name does; see the module's head.
///
/// # Safety
/// `time` points to a `timespec`.
#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let Some(now) = NOW.get() else {
        // SAFETY: the caller's pointer, as the system call wants it.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) } as libc::c_int;
    };
    // SAFETY: the caller's pointer.
    unsafe {
        (*time).tv_sec = now.as_secs() as libc::time_t;
        (*time).tv_nsec = now.subsec_nanos().into();
    }
    0
}
