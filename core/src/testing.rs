//! Random input for tests: seeded, and the seed is printed, so that a failure can be run again.

/// A small generator (xorshift64*), the same on every machine.
pub struct Random(u64);

impl Random {
    /// Seeded from the clock, or from `MAYFLY_SEED`. What it prints is shown when the test fails.
    #[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a test is rerun with the seed that it printed")]
    pub fn new(test: &str) -> Self {
        let given = std::env::var("MAYFLY_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = given.unwrap_or_else(crate::clock::now_ms);
        println!("seed {seed}; again: MAYFLY_SEED={seed} cargo test -p mayfly-core {test}");
        Random::seeded(seed)
    }

    /// Of that seed. Seeds next to each other begin unlike each other.
    pub fn seeded(seed: u64) -> Self {
        let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Random((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1)
    }

    /// Of one input of a target, so that each can be made again without those before it.
    pub fn for_input(seed: u64, target: &str, number: u64) -> Self {
        let named = target.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        Random::seeded(Random::seeded(named ^ number).next())
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Up to `most` bytes.
    pub fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    /// A JSON text of about that depth, with the words of LSPS in odd places; some is not valid.
    pub fn json(&mut self, depth: u32) -> String {
        const WORDS: [&str; 16] = [
            "jsonrpc",
            "id",
            "method",
            "params",
            "result",
            "error",
            "code",
            "message",
            "protocols",
            "jit_channel_scid",
            "lsp_cltv_expiry_delta",
            "lsps4.register_node",
            "1x2x3",
            "16777215x1x65536",
            "\\u0000",
            "",
        ];
        let word = |random: &mut Self| format!("\"{}\"", WORDS[random.below(16) as usize]);
        match self.below(if depth == 0 { 7 } else { 11 }) {
            0 => "null".to_owned(),
            1 => "true".to_owned(),
            2 => (self.next() as i64).to_string(),
            3 => self.below(3_000).to_string(),
            4 => format!("{}e{}", self.below(99), self.below(600)),
            5 | 6 => word(self),
            7 => {
                let parts: Vec<String> = (0..self.below(4)).map(|_| self.json(depth - 1)).collect();
                format!("[{}]", parts.join(","))
            }
            8 => "[".repeat(self.below(300) as usize),
            _ => {
                let members: Vec<String> =
                    (0..self.below(5)).map(|_| format!("{}:{}", word(self), self.json(depth - 1))).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }
}
