//! LDK's liquidity manager wants a key-value store for its service roles. A client keeps nothing there.

use lightning::io;
use lightning::util::persist::KVStoreSync;

/// An empty store that accepts writes and forgets them: the client roles in use persist nothing.
pub(super) struct NoLiquidityState;

impl KVStoreSync for NoLiquidityState {
    fn read(&self, _primary: &str, _secondary: &str, _key: &str) -> Result<Vec<u8>, io::Error> {
        Err(io::Error::new(io::ErrorKind::NotFound, "nothing is kept here"))
    }

    fn write(&self, _primary: &str, _secondary: &str, _key: &str, _value: Vec<u8>) -> Result<(), io::Error> {
        Ok(())
    }

    fn remove(&self, _primary: &str, _secondary: &str, _key: &str, _lazy: bool) -> Result<(), io::Error> {
        Ok(())
    }

    fn list(&self, _primary: &str, _secondary: &str) -> Result<Vec<String>, io::Error> {
        Ok(Vec::new())
    }
}
