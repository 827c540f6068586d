// swift-tools-version: 6.2
import Glibc
import PackageDescription

/// The exact version, because Package.resolved is not committed: the same commit must give the same bytes later too. A
/// source package contains the files of that version and builds without network.
let argumentParser: Package.Dependency =
  access("\(Context.packageDirectory)/vendor/swift-argument-parser/Package.swift", R_OK) == 0
  ? .package(path: "vendor/swift-argument-parser")
  : .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")

/// For every Swift target: the compiler requires `unsafe` before memory-unsafe code, and allows to return a `Span` of a
/// value's memory.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableExperimentalFeature("Lifetimes"),
  // Locks of enrollments are noncopyable.
  .enableExperimentalFeature("SuppressedAssociatedTypes"),
]

/// For the targets of `pam_twofactor.so`. The trait `Embedded` compiles them as Embedded Swift, without allocations on
/// the Swift heap: a failing one would trap, and kill the process that is logging someone in.
func module(_ optimization: String) -> [SwiftSetting] {
  strict + [
    .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])),
    .unsafeFlags(
      ["-wmo", optimization, "-no-allocations", "-Xfrontend", "-function-sections"], .when(traits: ["Embedded"])),
  ]
}

/// For code that runs at most once in a login. `@_optimize(speed)` marks its loops and the functions that copy much.
let small = module("-Osize")

/// For code that loops over bytes: it makes a login a twentieth shorter, and the module 1 kB larger.
let fast = module("-O")

let package = Package(
  name: "twofactor",
  products: [
    .library(name: "pam_twofactor", type: .dynamic, targets: ["PAMModule"]),
    .executable(name: "twofactor", targets: ["twofactor"]),
    .executable(name: "twofactor-helper", targets: ["twofactor-helper"]),
    .executable(name: "twofactor-store-postgresql", targets: ["twofactor-store-postgresql"]),
    // scripts/fuzz links it with libFuzzer.
    .library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"]),
  ],
  traits: [
    .trait(name: "Embedded", description: "Build the PAM module as Embedded Swift."),
    .trait(name: "SharedCrypto", description: "Use HMAC of libcrypto.so instead of the SHA code of libcrypto.a."),
    .default(enabledTraits: ["SharedCrypto"]),
  ],
  dependencies: [argumentParser],
  targets: [
    // C that Swift cannot call directly, and system libraries.
    .target(name: "CSystem"),
    .target(name: "CPAM"),
    .target(
      name: "COpenSSL",
      cSettings: [
        .define("SHARED", .when(traits: ["SharedCrypto"]))
      ],
      // If the shared library is linked first, nothing is taken from the archive. scripts/check-module --shared-crypto
      // checks that.
      linkerSettings: [
        .linkedLibrary("crypto", .when(traits: ["SharedCrypto"])),
        .linkedLibrary(":libcrypto.a"),
      ]),
    // Loads libcrypt, libpam and libqrencode on demand.
    .target(name: "CSetup", dependencies: ["CPAM", "CQREncode"]),
    .systemLibrary(name: "CQREncode", providers: [.apt(["libqrencode-dev"])]),
    // Loads libjansson on demand.
    .target(name: "CJansson"),
    // Loads libxml2 and libcrypto on demand.
    .target(name: "CPSKC", cSettings: [.unsafeFlags(["-I/usr/include/libxml2"])]),

    // The module, lowest layer first.
    .target(name: "FixedMemory", dependencies: ["CSystem"], swiftSettings: fast),
    .target(name: "OneTimePassword", dependencies: ["COpenSSL", "FixedMemory"], swiftSettings: fast),
    .target(name: "SystemFiles", dependencies: ["CSystem", "FixedMemory"], swiftSettings: fast),
    .target(
      name: "Enrollment", dependencies: ["CSystem", "FixedMemory", "OneTimePassword", "SystemFiles"],
      swiftSettings: small),
    .target(
      name: "Verification", dependencies: ["Enrollment", "FixedMemory", "OneTimePassword", "SystemFiles"],
      swiftSettings: small),
    .target(
      name: "LoginPolicy", dependencies: ["CSystem", "Enrollment", "FixedMemory", "SystemFiles", "Verification"],
      swiftSettings: small),
    .target(
      name: "PAMModule",
      dependencies: [
        "CPAM", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "LoginPolicy", "OneTimePassword",
        "SystemFiles", "Verification",
      ],
      swiftSettings: small,
      // -nostartfiles: the module has no constructors, and without the start files no memory stays writable after
      // loading. Here, because the helper needs them and is compiled with the same options.
      linkerSettings: [
        .linkedLibrary("pam"),
        .unsafeFlags(["-Xclang-linker", "-nostartfiles"], .when(traits: ["Embedded"])),
      ]),

    // The setgid helper.
    .target(name: "CHelper"),
    .target(
      name: "HelperProtocol", dependencies: ["Enrollment", "FixedMemory", "OneTimePassword", "Verification"],
      swiftSettings: small),
    // Requests about one enrollment, in whatever place it is.
    .target(
      name: "EnrollmentRequests",
      dependencies: [
        "CHelper", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "LoginPolicy", "OneTimePassword",
        "SystemFiles", "Verification",
      ],
      swiftSettings: small),
    .executableTarget(
      name: "twofactor-helper",
      dependencies: [
        "CHelper", "CSystem", "Enrollment", "EnrollmentRequests", "FixedMemory", "HelperProtocol", "LoginPolicy",
        "SystemFiles", "Verification",
      ],
      path: "Sources/Helper", swiftSettings: small),

    // The store on PostgreSQL, a program of its own.
    .target(
      name: "CPostgreSQL", cSettings: [.unsafeFlags(["-I/usr/include/postgresql"])],
      linkerSettings: [.linkedLibrary("pq"), .linkedLibrary("ssl"), .linkedLibrary("crypto")]),
    .target(
      name: "PostgreSQLStore",
      dependencies: [
        "CPostgreSQL", "CSystem", "Enrollment", "EnrollmentRequests", "FixedMemory", "HelperProtocol", "LoginPolicy",
        "OneTimePassword", "SystemFiles", "Verification",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "twofactor-store-postgresql",
      dependencies: [
        "CHelper", "CPostgreSQL", "CSystem", "EnrollmentRequests", "FixedMemory", "HelperProtocol", "PostgreSQLStore",
        "SystemFiles",
      ],
      path: "Sources/StoreProgram", swiftSettings: strict),

    // The setup command.
    .target(
      name: "KeyFormats",
      dependencies: ["CJansson", "CPSKC", "Enrollment", "FixedMemory", "LoginPolicy", "OneTimePassword"],
      swiftSettings: strict),
    .target(
      name: "HostAccess",
      dependencies: [
        "CSetup", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "LoginPolicy", "SystemFiles",
        "Verification",
      ],
      swiftSettings: strict),
    .target(
      name: "HostDoctor",
      dependencies: [
        "CSetup", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "HostAccess", "LoginPolicy", "SystemFiles",
        "Verification",
      ],
      swiftSettings: strict),
    .target(
      name: "TwoFactorSetup",
      dependencies: [
        "CPAM", "CQREncode", "CSetup", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "HostAccess",
        "HostDoctor", "KeyFormats", "LoginPolicy", "OneTimePassword", "SystemFiles", "Verification",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "twofactor", dependencies: ["TwoFactorSetup"], swiftSettings: strict),
    .testTarget(
      name: "ModuleTests",
      dependencies: [
        "COpenSSL", "CPAM", "CSystem", "Enrollment", "FixedMemory", "HelperProtocol", "LoginPolicy", "OneTimePassword",
        "PAMModule", "SystemFiles", "Verification",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "HostAccessTests", dependencies: ["HostAccess", "SystemFiles"], swiftSettings: strict),
    .testTarget(
      name: "HostDoctorTests", dependencies: ["Enrollment", "HostAccess", "HostDoctor", "SystemFiles", "Verification"],
      swiftSettings: strict),
    .testTarget(
      name: "TwoFactorSetupTests", dependencies: ["HostAccess", "KeyFormats", "TwoFactorSetup"], swiftSettings: strict),
    .testTarget(
      name: "PostgreSQLStoreTests", dependencies: ["Enrollment", "FixedMemory", "LoginPolicy", "PostgreSQLStore"],
      swiftSettings: strict),
    // Writes the options of the policy into the pages, for scripts/option-tables.
    .executableTarget(
      name: "OptionTables", dependencies: ["FixedMemory", "LoginPolicy", "Verification"],
      path: "Tests/OptionTables", swiftSettings: strict),
    .target(name: "FuzzMachine", dependencies: ["CSystem"], path: "Tests/Fuzz/Machine"),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "CPAM", "Enrollment", "FixedMemory", "FuzzMachine", "HelperProtocol", "HostDoctor", "KeyFormats",
        "LoginPolicy", "OneTimePassword", "PAMModule", "SystemFiles", "Verification",
      ],
      path: "Tests/Fuzz/Targets", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
