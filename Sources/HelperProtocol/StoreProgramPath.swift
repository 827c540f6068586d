public import FixedMemory

/// The paths of `twofactor-store-postgresql`: those of the package and of `scripts/install`.
public enum StoreProgramPath {
  /// To be preferred.
  public static var first: Literal { "/usr/libexec/twofactor/twofactor-store-postgresql" }

  /// Unless the other one exists.
  public static var second: Literal { "/usr/local/libexec/twofactor/twofactor-store-postgresql" }
}
