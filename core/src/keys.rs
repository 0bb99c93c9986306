//! Mnemonic → seed → KeysManager, exactly as ldk-node derives them.
