// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target: memory-unsafe constructs must be spelled out, and a `Span` may be returned
/// from the value that owns its memory.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableExperimentalFeature("Lifetimes"),
]

/// The targets that `pam_twofactor.so` is linked from. With the trait `Embedded` they are compiled
/// as Embedded Swift, and the compiler refuses whatever would allocate on the Swift heap: an
/// allocation that fails there is a trap, and a trap kills the process that is logging someone in.
func module(_ optimization: String) -> [SwiftSetting] {
  strict + [
    .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])),
    .unsafeFlags(
      ["-wmo", optimization, "-no-allocations", "-Xfrontend", "-function-sections"], .when(traits: ["Embedded"])),
  ]
}

/// Most of the module, which runs once in a login or never.
let small = module("-Osize")

/// What goes through bytes: a login executes a twentieth fewer instructions for it, and 6 kB are added.
let fast = module("-O")

let package = Package(
  name: "twofactor",
  products: [
    .library(name: "pam_twofactor", type: .dynamic, targets: ["PAMModule"]),
    .executable(name: "twofactor", targets: ["twofactor"]),
    // For scripts/fuzz, which links it with libFuzzer.
    .library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"]),
  ],
  traits: [
    .trait(name: "Embedded", description: "Build the PAM module as Embedded Swift."),
    .trait(name: "SharedCrypto", description: "Take HMAC from libcrypto.so instead of the SHA code of libcrypto.a."),
    .default(enabledTraits: ["SharedCrypto"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // C: what Swift cannot reach by itself, and the system's libraries.
    .target(name: "CSystem"),
    .target(name: "CPAM"),
    .target(
      name: "COpenSSL",
      cSettings: [
        .define("SHARED", .when(traits: ["SharedCrypto"]))
      ],
      // The shared library first: where there is one, it answers for everything, and nothing is taken out of the
      // archive behind it. scripts/check-module --shared-crypto sees to it.
      linkerSettings: [
        .linkedLibrary("crypto", .when(traits: ["SharedCrypto"])),
        .linkedLibrary(":libcrypto.a"),
      ]),
    // It loads libcrypt, libpam and libqrencode by itself, when they are called.
    .target(name: "CSetup", dependencies: ["CPAM", "CQREncode"]),
    .systemLibrary(name: "CQREncode", providers: [.apt(["libqrencode-dev"])]),

    // The module, from the bottom up.
    .target(name: "FixedMemory", dependencies: ["CSystem"], swiftSettings: fast),
    .target(name: "OneTimePassword", dependencies: ["COpenSSL", "FixedMemory"], swiftSettings: fast),
    .target(name: "SystemFiles", dependencies: ["CSystem", "FixedMemory"], swiftSettings: fast),
    .target(
      name: "Enrollment", dependencies: ["CSystem", "FixedMemory", "OneTimePassword", "SystemFiles"],
      swiftSettings: fast),
    .target(
      name: "Verification", dependencies: ["Enrollment", "FixedMemory", "OneTimePassword", "SystemFiles"],
      swiftSettings: small),
    .target(
      name: "LoginPolicy", dependencies: ["CSystem", "Enrollment", "FixedMemory", "SystemFiles", "Verification"],
      swiftSettings: small),
    .target(
      name: "PAMModule",
      dependencies: [
        "CPAM", "CSystem", "Enrollment", "FixedMemory", "LoginPolicy", "OneTimePassword", "SystemFiles",
        "Verification",
      ],
      swiftSettings: small, linkerSettings: [.linkedLibrary("pam")]),

    // The setup command.
    .target(name: "KeyFormats", dependencies: ["Enrollment", "FixedMemory", "OneTimePassword"], swiftSettings: strict),
    .target(
      name: "HostAccess", dependencies: ["CSetup", "Enrollment", "FixedMemory", "LoginPolicy", "SystemFiles", "Verification"],
      swiftSettings: strict),
    .target(
      name: "HostDoctor",
      dependencies: ["CSetup", "CSystem", "Enrollment", "FixedMemory", "HostAccess", "LoginPolicy", "SystemFiles"],
      swiftSettings: strict),
    .target(
      name: "TwoFactorSetup",
      dependencies: [
        "CPAM", "CQREncode", "CSetup", "CSystem", "Enrollment", "FixedMemory", "HostAccess", "HostDoctor", "KeyFormats",
        "LoginPolicy", "OneTimePassword", "SystemFiles", "Verification",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "twofactor", dependencies: ["TwoFactorSetup"], swiftSettings: strict),
    .testTarget(
      name: "ModuleTests",
      dependencies: [
        "COpenSSL", "CPAM", "CSystem", "Enrollment", "FixedMemory", "LoginPolicy", "OneTimePassword", "PAMModule",
        "SystemFiles", "Verification",
      ],
      swiftSettings: strict),
    .testTarget(name: "HostAccessTests", dependencies: ["HostAccess", "LoginPolicy"], swiftSettings: strict),
    .testTarget(name: "HostDoctorTests", dependencies: ["HostAccess", "HostDoctor"], swiftSettings: strict),
    .testTarget(
      name: "TwoFactorSetupTests", dependencies: ["HostAccess", "KeyFormats", "TwoFactorSetup"], swiftSettings: strict),
    // Writes the options of the policy into the pages, for scripts/option-tables.
    .executableTarget(
      name: "OptionTables", dependencies: ["FixedMemory", "LoginPolicy", "Verification"],
      path: "Tests/OptionTables", swiftSettings: strict),
    .target(name: "FuzzMachine", path: "Tests/Fuzz/Machine"),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "CPAM", "Enrollment", "FixedMemory", "FuzzMachine", "KeyFormats", "LoginPolicy", "OneTimePassword", "PAMModule",
        "SystemFiles", "Verification",
      ],
      path: "Tests/Fuzz/Targets", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
