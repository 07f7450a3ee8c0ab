"""Words of the rendered store: flavours and product types, each in every locale."""

# A table reads best with one entry a line.
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

LOCALES = ("en", "de", "fr", "ru", "el", "ja", "ko")
"""BCP 47 tags of all names, in the order of every word tuple below."""

Rgb = tuple[int, int, int]
Kind = Literal["box", "bottle", "can", "pouch", "jar"]


@dataclass(frozen=True, slots=True)
class Flavour:
    """A flavour or scent: its colour, what illustrates it, and its word in each locale."""

    key: str
    colour: Rgb
    motif: str
    words: tuple[str, ...]

    def word(self, locale: str) -> str:
        """The word in a locale of LOCALES; ValueError for any other."""
        return self.words[LOCALES.index(locale)]


@dataclass(frozen=True, slots=True)
class ProductType:
    """A leaf of the category tree: shapes, sizes in millimetres and the flavours it comes in."""

    path: tuple[str, str, str, str]
    kinds: tuple[Kind, ...]
    width_mm: tuple[int, int]
    aspect: tuple[float, float]
    amounts: tuple[str, ...]
    flavours: str
    words: tuple[str, ...]

    def word(self, locale: str) -> str:
        """The product's word in a locale of LOCALES; ValueError for any other."""
        return self.words[LOCALES.index(locale)]


def _flavour(key: str, colour: Rgb, motif: str, words: str) -> Flavour:
    return Flavour(key, colour, motif, tuple(words.split("|")))


_FLAVOURS = (
    _flavour("strawberry", (214, 40, 57), "berry", "Strawberry|Erdbeere|Fraise|Клубника|Φράουλα|いちご|딸기"),
    _flavour("orange", (243, 132, 24), "citrus", "Orange|Orange|Orange|Апельсин|Πορτοκάλι|オレンジ|오렌지"),
    _flavour("lemon", (245, 208, 36), "citrus", "Lemon|Zitrone|Citron|Лимон|Λεμόνι|レモン|레몬"),
    _flavour("lime", (122, 184, 40), "citrus", "Lime|Limette|Citron vert|Лайм|Λάιμ|ライム|라임"),
    _flavour("apple", (94, 160, 52), "apple", "Apple|Apfel|Pomme|Яблоко|Μήλο|りんご|사과"),
    _flavour("cherry", (150, 16, 44), "cherry", "Cherry|Kirsche|Cerise|Вишня|Κεράσι|さくらんぼ|체리"),
    _flavour("blueberry", (63, 72, 160), "berry", "Blueberry|Heidelbeere|Myrtille|Черника|Μύρτιλο|ブルーベリー|블루베리"),
    _flavour("grape", (108, 48, 130), "grapes", "Grape|Traube|Raisin|Виноград|Σταφύλι|ぶどう|포도"),
    _flavour("peach", (250, 160, 120), "apple", "Peach|Pfirsich|Pêche|Персик|Ροδάκινο|もも|복숭아"),
    _flavour("mango", (250, 170, 30), "apple", "Mango|Mango|Mangue|Манго|Μάνγκο|マンゴー|망고"),
    _flavour("coconut", (190, 220, 235), "drop", "Coconut|Kokos|Coco|Кокос|Καρύδα|ココナッツ|코코넛"),
    _flavour("vanilla", (240, 222, 160), "flower", "Vanilla|Vanille|Vanille|Ваниль|Βανίλια|バニラ|바닐라"),
    _flavour("chocolate", (92, 52, 30), "squares", "Chocolate|Schoko|Chocolat|Шоколад|Σοκολάτα|チョコ|초콜릿"),
    _flavour("hazelnut", (170, 112, 60), "nut", "Hazelnut|Haselnuss|Noisette|Фундук|Φουντούκι|ヘーゼル|헤이즐넛"),
    _flavour("caramel", (204, 130, 50), "drop", "Caramel|Karamell|Caramel|Карамель|Καραμέλα|キャラメル|카라멜"),
    _flavour("honey", (232, 176, 40), "hex", "Honey|Honig|Miel|Мёд|Μέλι|はちみつ|꿀"),
    _flavour("mint", (80, 190, 150), "leaf", "Mint|Minze|Menthe|Мята|Δυόσμος|ミント|민트"),
    _flavour("almond", (214, 170, 120), "nut", "Almond|Mandel|Amande|Миндаль|Αμύγδαλο|アーモンド|아몬드"),
    _flavour("cheese", (245, 180, 50), "wedge", "Cheese|Käse|Fromage|Сыр|Τυρί|チーズ|치즈"),
    _flavour("paprika", (200, 50, 30), "pepper", "Paprika|Paprika|Paprika|Паприка|Πάπρικα|パプリカ|파프리카"),
    _flavour("salt", (60, 130, 200), "waves", "Sea salt|Meersalz|Sel marin|Морская соль|Αλάτι|うす塩|소금"),
    _flavour("onion", (120, 150, 60), "rings", "Onion|Zwiebel|Oignon|Лук|Κρεμμύδι|オニオン|양파"),
    _flavour("tomato", (220, 50, 40), "apple", "Tomato|Tomate|Tomate|Томат|Ντομάτα|トマト|토마토"),
    _flavour("basil", (50, 130, 60), "leaf", "Basil|Basilikum|Basilic|Базилик|Βασιλικός|バジル|바질"),
    _flavour("garlic", (200, 190, 215), "drop", "Garlic|Knoblauch|Ail|Чеснок|Σκόρδο|にんにく|마늘"),
    _flavour("chili", (170, 20, 30), "pepper", "Chili|Chili|Piment|Чили|Τσίλι|チリ|칠리"),
    _flavour("olive", (110, 120, 40), "leaf", "Olive|Olive|Olive|Олива|Ελιά|オリーブ|올리브"),
    _flavour("mushroom", (150, 120, 100), "rings", "Mushroom|Pilz|Champignon|Грибы|Μανιτάρι|きのこ|버섯"),
    _flavour("chicken", (230, 190, 90), "steam", "Chicken|Huhn|Poulet|Курица|Κοτόπουλο|チキン|치킨"),
    _flavour("beef", (140, 50, 40), "steam", "Beef|Rind|Bœuf|Говядина|Μοσχάρι|ビーフ|소고기"),
    _flavour("salmon", (250, 140, 110), "fish", "Salmon|Lachs|Saumon|Лосось|Σολομός|サーモン|연어"),
    _flavour("tuna", (50, 100, 150), "fish", "Tuna|Thunfisch|Thon|Тунец|Τόνος|ツナ|참치"),
    _flavour("lavender", (150, 120, 200), "flower", "Lavender|Lavendel|Lavande|Лаванда|Λεβάντα|ラベンダー|라벤더"),
    _flavour("rose", (235, 120, 150), "flower", "Rose|Rose|Rose|Роза|Τριαντάφυλλο|ローズ|장미"),
    _flavour("ocean", (30, 140, 190), "waves", "Ocean|Ozean|Océan|Океан|Ωκεανός|オーシャン|오션"),
    _flavour("pine", (20, 90, 70), "tree", "Pine|Kiefer|Pin|Сосна|Πεύκο|パイン|소나무"),
    _flavour("aloe", (110, 190, 110), "leaf", "Aloe|Aloe|Aloès|Алоэ|Αλόη|アロエ|알로에"),
    _flavour("cotton", (190, 205, 230), "cloud", "Cotton|Baumwolle|Coton|Хлопок|Βαμβάκι|コットン|코튼"),
    _flavour("green", (70, 140, 60), "leaf", "Green|Grün|Vert|Зелёный|Πράσινο|緑|녹차"),
    _flavour("black", (50, 40, 40), "steam", "Black|Schwarz|Noir|Чёрный|Μαύρο|黒|블랙"),
    _flavour("jasmine", (200, 210, 110), "flower", "Jasmine|Jasmin|Jasmin|Жасмин|Γιασεμί|ジャスミン|재스민"),
    _flavour("ginger", (224, 150, 40), "sun", "Ginger|Ingwer|Gingembre|Имбирь|Τζίντζερ|しょうが|생강"),
    _flavour("classic", (180, 30, 40), "sun", "Classic|Klassik|Classique|Классика|Κλασικό|クラシック|클래식"),
    _flavour("intense", (40, 30, 60), "burst", "Intense|Intensiv|Intense|Крепкий|Έντονο|濃厚|진한"),
    _flavour("mild", (240, 200, 130), "cloud", "Mild|Mild|Doux|Мягкий|Απαλό|マイルド|마일드"),
    _flavour("gold", (205, 160, 60), "burst", "Gold|Gold|Or|Золото|Χρυσό|ゴールド|골드"),
)  # fmt: skip
FLAVOURS = {flavour.key: flavour for flavour in _FLAVOURS}

FLAVOUR_GROUPS = {
    "fruit": "strawberry orange lemon lime apple cherry blueberry grape peach mango coconut",
    "sweet": "strawberry vanilla chocolate hazelnut caramel honey mint almond coconut orange cherry",
    "savoury": "cheese paprika salt onion tomato chili garlic mushroom chicken",
    "sauce": "tomato basil garlic chili olive mushroom cheese paprika onion",
    "meaty": "chicken beef salmon tuna mushroom tomato",
    "scent": "lavender rose ocean pine aloe cotton lemon mint lime coconut peach",
    "tea": "green black jasmine ginger lemon mint peach honey cherry",
    "roast": "classic intense mild gold vanilla hazelnut caramel chocolate",
}


def flavours_of(group: str) -> tuple[Flavour, ...]:
    """The flavours of a group of FLAVOUR_GROUPS; KeyError for any other."""
    return tuple(FLAVOURS[key] for key in FLAVOUR_GROUPS[group].split())


def _type(
    path: str,
    kinds: str,
    width_mm: tuple[int, int],
    aspect: tuple[float, float],
    amounts: str,
    flavours: str,
    words: str,
) -> ProductType:
    first, second, third, fourth = path.split(" > ")
    return ProductType(
        (first, second, third, fourth),
        tuple(kind for kind in get_args(Kind) if kind in kinds.split()),
        width_mm,
        aspect,
        tuple(amounts.split("|")),
        flavours,
        tuple(words.split("|")),
    )


PRODUCT_TYPES = (
    _type("Food > Beverages > Juice > Fruit juice", "bottle box", (68, 88), (2.2, 3.0), "1 L|750 ml", "fruit", "Juice|Saft|Jus|Сок|Χυμός|ジュース|주스"),
    _type("Food > Beverages > Soft drinks > Lemonade", "can bottle", (58, 70), (1.7, 2.3), "330 ml|250 ml|500 ml", "fruit", "Soda|Limonade|Soda|Лимонад|Αναψυκτικό|ソーダ|소다"),
    _type("Food > Beverages > Water > Flavoured water", "bottle", (64, 76), (3.0, 3.6), "500 ml|1.5 L", "fruit", "Water|Wasser|Eau|Вода|Νερό|水|물"),
    _type("Food > Beverages > Tea > Tea bags", "box pouch", (80, 130), (0.75, 1.2), "20 × 2 g|25 × 2 g|50 g", "tea", "Tea|Tee|Thé|Чай|Τσάι|お茶|차"),
    _type("Food > Beverages > Coffee > Ground coffee", "pouch jar can", (80, 105), (1.3, 2.0), "250 g|500 g|200 g", "roast", "Coffee|Kaffee|Café|Кофе|Καφές|コーヒー|커피"),
    _type("Food > Snacks > Crisps > Potato crisps", "pouch can", (150, 200), (1.25, 1.5), "150 g|175 g|90 g", "savoury", "Crisps|Chips|Chips|Чипсы|Πατατάκια|チップス|감자칩"),
    _type("Food > Snacks > Nuts > Roasted nuts", "pouch jar can", (95, 130), (1.2, 1.6), "200 g|125 g", "savoury", "Nuts|Nüsse|Noix|Орехи|Ξηροί καρποί|ナッツ|견과"),
    _type("Food > Sweets > Chocolate > Pralines", "box pouch", (90, 190), (0.6, 1.3), "100 g|180 g|200 g", "sweet", "Pralines|Pralinen|Pralinés|Конфеты|Σοκολατάκια|プラリネ|프랄린"),
    _type("Food > Sweets > Biscuits > Filled biscuits", "box pouch", (120, 200), (0.5, 1.1), "300 g|250 g|176 g", "sweet", "Biscuits|Kekse|Biscuits|Печенье|Μπισκότα|ビスケット|비스킷"),
    _type("Food > Breakfast > Cereals > Muesli and flakes", "box pouch", (160, 210), (1.3, 1.6), "500 g|375 g|750 g", "sweet", "Flakes|Flocken|Céréales|Хлопья|Δημητριακά|シリアル|시리얼"),
    _type("Food > Breakfast > Spreads > Jam", "jar", (66, 82), (1.2, 1.5), "340 g|250 g", "fruit", "Jam|Konfitüre|Confiture|Джем|Μαρμελάδα|ジャム|잼"),
    _type("Food > Breakfast > Spreads > Cream spread", "jar", (78, 92), (1.1, 1.4), "400 g|350 g", "sweet", "Spread|Creme|Pâte|Паста|Κρέμα|クリーム|스프레드"),
    _type("Food > Dairy > Yogurt > Drinking yogurt", "bottle box", (55, 70), (2.2, 2.8), "500 g|250 g", "fruit", "Yogurt|Joghurt|Yaourt|Йогурт|Γιαούρτι|ヨーグルト|요구르트"),
    _type("Food > Pantry > Sauces > Pasta sauce", "jar", (76, 90), (1.6, 2.0), "400 g|350 g", "sauce", "Sauce|Sauce|Sauce|Соус|Σάλτσα|ソース|소스"),
    _type("Food > Pantry > Sauces > Table sauce", "bottle", (58, 72), (2.6, 3.2), "450 ml|300 ml", "sauce", "Dressing|Dressing|Vinaigrette|Заправка|Ντρέσινγκ|ドレッシング|드레싱"),
    _type("Food > Pantry > Tinned food > Soup", "can pouch", (74, 86), (1.2, 1.5), "400 g|390 ml", "meaty", "Soup|Suppe|Soupe|Суп|Σούπα|スープ|수프"),
    _type("Food > Pantry > Tinned food > Fish", "can box", (85, 110), (0.5, 0.9), "160 g|120 g", "meaty", "Fillets|Filets|Filets|Филе|Φιλέτα|缶詰|통조림"),
    _type("Food > Pantry > Pasta and rice > Instant noodles", "pouch box", (110, 140), (0.9, 1.25), "70 g|85 g", "meaty", "Noodles|Nudeln|Nouilles|Лапша|Νουντλς|ラーメン|라면"),
    _type("Pets > Cats > Food > Wet food", "pouch can", (85, 100), (1.1, 1.5), "85 g|100 g", "meaty", "Cat food|Katzenfutter|Pour chats|Для кошек|Για γάτες|猫ごはん|고양이밥"),
    _type("Household > Cleaning > Dishwashing > Washing-up liquid", "bottle", (75, 95), (2.3, 2.9), "500 ml|750 ml", "scent", "Dish soap|Spülmittel|Vaisselle|Для посуды|Πιάτων|食器用|주방세제"),
    _type("Household > Cleaning > Laundry > Detergent", "bottle box pouch", (130, 190), (1.1, 1.6), "1.5 L|20 WL|2 kg", "scent", "Laundry|Waschmittel|Lessive|Для стирки|Πλυντηρίου|洗剤|세탁세제"),
    _type("Care > Hair > Shampoo > Everyday shampoo", "bottle", (60, 78), (2.5, 3.2), "250 ml|400 ml", "scent", "Shampoo|Shampoo|Shampooing|Шампунь|Σαμπουάν|シャンプー|샴푸"),
    _type("Care > Bath > Soap > Shower gel", "bottle pouch", (60, 75), (2.3, 3.0), "300 ml|250 ml", "scent", "Shower|Dusche|Douche|Гель|Αφρόλουτρο|ボディ|샤워"),
    _type("Care > Face > Creams > Day cream", "jar box", (66, 84), (0.75, 1.1), "50 ml|75 ml", "scent", "Cream|Creme|Crème|Крем|Κρέμα|クリーム|크림"),
)  # fmt: skip
