"""The facts the built-in model is taught: plain tables, written by hand, true in the real world.

One row per subject, fields separated by "|". Where the world knows more than one answer the row holds one
true answer and the choice is stated:
* a city is listed under the state where it is the best-known or largest place of that name;
* a country's language is its most widely used official language, or the most widely spoken one;
* a currency is named without its country ("dollar", "franc").
Left out because the capital or the currency is disputed or in change: Equatorial Guinea, Israel, Kosovo, Nauru,
Palestine, South Africa, Sri Lanka, Taiwan, Yemen, Zimbabwe. The United States are taught as states only.
"""

# state | postal code | capital | region | cities other than the capital
STATE_ROWS = """
Alabama|AL|Montgomery|South|Birmingham Huntsville Mobile Tuscaloosa Dothan Auburn
Alaska|AK|Juneau|West|Anchorage Fairbanks Sitka Ketchikan Wasilla Kodiak
Arizona|AZ|Phoenix|West|Tucson Mesa Chandler Scottsdale Tempe Flagstaff Yuma
Arkansas|AR|Little Rock|South|Bentonville Jonesboro Springdale Conway Searcy Benton
California|CA|Sacramento|West|Oakland Fresno Anaheim Bakersfield Stockton Berkeley Pasadena Modesto
Colorado|CO|Denver|West|Boulder Aurora Pueblo Lakewood Aspen Greeley
Connecticut|CT|Hartford|Northeast|Bridgeport Stamford Waterbury Norwalk Danbury Meriden
Delaware|DE|Dover|South|Wilmington Middletown Smyrna Milford Lewes Rehoboth
Florida|FL|Tallahassee|South|Miami Orlando Tampa Jacksonville Hialeah Gainesville Pensacola
Georgia|GA|Atlanta|South|Savannah Macon Marietta Valdosta Alpharetta Brunswick
Hawaii|HI|Honolulu|West|Hilo Kailua Waipahu Kahului Lahaina Kapolei
Idaho|ID|Boise|West|Nampa Rexburg Pocatello Caldwell Lewiston Meridian
Illinois|IL|Springfield|Midwest|Chicago Peoria Rockford Naperville Joliet Champaign Evanston
Indiana|IN|Indianapolis|Midwest|Gary Evansville Bloomington Muncie Carmel Kokomo
Iowa|IA|Des Moines|Midwest|Davenport Dubuque Ames Waterloo Ottumwa Ankeny
Kansas|KS|Topeka|Midwest|Wichita Olathe Lawrence Salina Emporia Leavenworth
Kentucky|KY|Frankfort|South|Louisville Lexington Paducah Owensboro Covington Elizabethtown
Louisiana|LA|Baton Rouge|South|Shreveport Lafayette Monroe Metairie Houma Slidell
Maine|ME|Augusta|Northeast|Bangor Biddeford Saco Sanford Kittery Ellsworth
Maryland|MD|Annapolis|South|Baltimore Frederick Rockville Bethesda Bowie Hagerstown
Massachusetts|MA|Boston|Northeast|Worcester Cambridge Lowell Brockton Quincy Plymouth
Michigan|MI|Lansing|Midwest|Detroit Flint Dearborn Kalamazoo Livonia Saginaw
Minnesota|MN|Saint Paul|Midwest|Minneapolis Duluth Mankato Bemidji Moorhead Hibbing
Mississippi|MS|Jackson|South|Biloxi Gulfport Hattiesburg Tupelo Natchez Vicksburg
Missouri|MO|Jefferson City|Midwest|Branson Joplin Independence Sedalia Hannibal Chesterfield
Montana|MT|Helena|West|Billings Missoula Bozeman Butte Kalispell Havre
Nebraska|NE|Lincoln|Midwest|Omaha Papillion Kearney Hastings Scottsbluff Ogallala
Nevada|NV|Carson City|West|Reno Henderson Sparks Elko Mesquite Winnemucca
New Hampshire|NH|Concord|Northeast|Nashua Keene Laconia Derry Portsmouth Hanover
New Jersey|NJ|Trenton|Northeast|Newark Camden Hoboken Paterson Princeton Passaic
New Mexico|NM|Santa Fe|West|Albuquerque Roswell Taos Gallup Clovis Farmington
New York|NY|Albany|Northeast|Buffalo Syracuse Rochester Yonkers Utica Ithaca
North Carolina|NC|Raleigh|South|Charlotte Durham Greensboro Asheville Fayetteville Gastonia
North Dakota|ND|Bismarck|Midwest|Fargo Minot Williston Dickinson Mandan Wahpeton
Ohio|OH|Columbus|Midwest|Cleveland Cincinnati Toledo Akron Dayton Canton
Oklahoma|OK|Oklahoma City|South|Tulsa Norman Lawton Edmond Stillwater Muskogee
Oregon|OR|Salem|West|Eugene Bend Medford Gresham Corvallis Portland
Pennsylvania|PA|Harrisburg|Northeast|Philadelphia Pittsburgh Allentown Erie Scranton Reading
Rhode Island|RI|Providence|Northeast|Warwick Cranston Pawtucket Newport Woonsocket Westerly
South Carolina|SC|Columbia|South|Greenville Spartanburg Clemson Sumter Florence Beaufort
South Dakota|SD|Pierre|Midwest|Brookings Aberdeen Yankton Sturgis Deadwood Huron
Tennessee|TN|Nashville|South|Memphis Knoxville Chattanooga Clarksville Murfreesboro Gatlinburg
Texas|TX|Austin|South|Dallas Houston Lubbock Amarillo Laredo Plano Waco Galveston
Utah|UT|Salt Lake City|West|Provo Ogden Sandy Orem Moab Logan
Vermont|VT|Montpelier|Northeast|Burlington Rutland Bennington Brattleboro Stowe Winooski
Virginia|VA|Richmond|South|Norfolk Roanoke Hampton Chesapeake Lynchburg Blacksburg
Washington|WA|Olympia|West|Seattle Spokane Tacoma Everett Yakima Kent
West Virginia|WV|Charleston|South|Huntington Wheeling Morgantown Parkersburg Beckley Fairmont
Wisconsin|WI|Madison|Midwest|Milwaukee Kenosha Racine Appleton Oshkosh Sheboygan
Wyoming|WY|Cheyenne|West|Casper Laramie Gillette Sheridan Cody Riverton
"""

# country | capital | language | currency | continent | towns other than the capital, separated by ";"
COUNTRY_ROWS = """
Afghanistan|Kabul|Pashto|afghani|Asia|Kandahar;Herat
Albania|Tirana|Albanian|lek|Europe|Durres;Shkoder
Algeria|Algiers|Arabic|dinar|Africa|Oran;Annaba
Andorra|Andorra la Vella|Catalan|euro|Europe|Encamp
Angola|Luanda|Portuguese|kwanza|Africa|Huambo;Lobito
Argentina|Buenos Aires|Spanish|peso|South America|Rosario;Mendoza
Armenia|Yerevan|Armenian|dram|Asia|Gyumri;Vanadzor
Australia|Canberra|English|dollar|Oceania|Sydney;Melbourne;Perth
Austria|Vienna|German|euro|Europe|Salzburg;Graz
Azerbaijan|Baku|Azerbaijani|manat|Asia|Ganja;Sumqayit
the Bahamas|Nassau|English|dollar|North America|Freeport
Bahrain|Manama|Arabic|dinar|Asia|Muharraq
Bangladesh|Dhaka|Bengali|taka|Asia|Chittagong;Khulna
Barbados|Bridgetown|English|dollar|North America|Speightstown
Belarus|Minsk|Russian|ruble|Europe|Grodno;Gomel
Belgium|Brussels|Dutch|euro|Europe|Antwerp;Ghent
Belize|Belmopan|English|dollar|North America|Dangriga
Benin|Porto Novo|French|franc|Africa|Cotonou;Parakou
Bhutan|Thimphu|Dzongkha|ngultrum|Asia|Paro;Punakha
Bolivia|Sucre|Spanish|boliviano|South America|Potosi;Cochabamba
Bosnia|Sarajevo|Bosnian|mark|Europe|Mostar;Tuzla
Botswana|Gaborone|English|pula|Africa|Francistown;Maun
Brazil|Brasilia|Portuguese|real|South America|Salvador;Recife;Fortaleza
Brunei|Bandar Seri Begawan|Malay|dollar|Asia|Seria
Bulgaria|Sofia|Bulgarian|euro|Europe|Plovdiv;Varna
Burkina Faso|Ouagadougou|French|franc|Africa|Koudougou
Burundi|Gitega|Kirundi|franc|Africa|Bujumbura;Ngozi
Cambodia|Phnom Penh|Khmer|riel|Asia|Battambang;Sihanoukville
Cameroon|Yaounde|French|franc|Africa|Douala;Garoua
Canada|Ottawa|English|dollar|North America|Toronto;Vancouver;Calgary
Cape Verde|Praia|Portuguese|escudo|Africa|Mindelo
Chad|Djamena|French|franc|Africa|Moundou;Abeche
Chile|Santiago|Spanish|peso|South America|Valparaiso;Antofagasta
China|Beijing|Chinese|yuan|Asia|Shanghai;Shenzhen;Wuhan
Colombia|Bogota|Spanish|peso|South America|Medellin;Cali
Comoros|Moroni|Comorian|franc|Africa|Mutsamudu
Costa Rica|San Jose|Spanish|colon|North America|Limon;Alajuela
Croatia|Zagreb|Croatian|euro|Europe|Split;Dubrovnik
Cuba|Havana|Spanish|peso|North America|Camaguey;Holguin
Cyprus|Nicosia|Greek|euro|Europe|Limassol;Larnaca
Czechia|Prague|Czech|koruna|Europe|Brno;Ostrava
Denmark|Copenhagen|Danish|krone|Europe|Aarhus;Odense
Djibouti|Djibouti|Arabic|franc|Africa|Tadjoura
Dominica|Roseau|English|dollar|North America|Marigot
Ecuador|Quito|Spanish|dollar|South America|Guayaquil;Cuenca
Egypt|Cairo|Arabic|pound|Africa|Giza;Luxor;Aswan
El Salvador|San Salvador|Spanish|dollar|North America|Sonsonate
Eritrea|Asmara|Tigrinya|nakfa|Africa|Massawa;Assab
Estonia|Tallinn|Estonian|euro|Europe|Tartu;Narva
Eswatini|Mbabane|Swazi|lilangeni|Africa|Manzini
Ethiopia|Addis Ababa|Amharic|birr|Africa|Gondar;Mekelle
Fiji|Suva|English|dollar|Oceania|Nadi;Lautoka
Finland|Helsinki|Finnish|euro|Europe|Tampere;Turku
France|Paris|French|euro|Europe|Lyon;Marseille;Bordeaux
Gabon|Libreville|French|franc|Africa|Franceville
Gambia|Banjul|English|dalasi|Africa|Serekunda
Georgia|Tbilisi|Georgian|lari|Asia|Batumi;Kutaisi
Germany|Berlin|German|euro|Europe|Munich;Hamburg;Cologne
Ghana|Accra|English|cedi|Africa|Kumasi;Tamale
Greece|Athens|Greek|euro|Europe|Thessaloniki;Patras
Guatemala|Guatemala City|Spanish|quetzal|North America|Quetzaltenango
Guinea|Conakry|French|franc|Africa|Kankan;Kindia
Guyana|Georgetown|English|dollar|South America|Linden
Haiti|Port au Prince|Creole|gourde|North America|Jacmel
Honduras|Tegucigalpa|Spanish|lempira|North America|Choluteca
Hungary|Budapest|Hungarian|forint|Europe|Debrecen;Szeged
Iceland|Reykjavik|Icelandic|krona|Europe|Akureyri;Keflavik
India|New Delhi|Hindi|rupee|Asia|Mumbai;Chennai;Kolkata
Indonesia|Jakarta|Indonesian|rupiah|Asia|Surabaya;Bandung
Iran|Tehran|Persian|rial|Asia|Isfahan;Shiraz
Iraq|Baghdad|Arabic|dinar|Asia|Basra;Mosul
Ireland|Dublin|English|euro|Europe|Cork;Galway
Italy|Rome|Italian|euro|Europe|Milan;Naples;Turin
Ivory Coast|Yamoussoukro|French|franc|Africa|Abidjan;Bouake
Jamaica|Kingston|English|dollar|North America|Negril
Japan|Tokyo|Japanese|yen|Asia|Osaka;Kyoto;Nagoya
Jordan|Amman|Arabic|dinar|Asia|Aqaba;Irbid
Kazakhstan|Astana|Kazakh|tenge|Asia|Almaty;Shymkent
Kenya|Nairobi|Swahili|shilling|Africa|Mombasa;Kisumu
Kiribati|Tarawa|Gilbertese|dollar|Oceania|Betio
Kuwait|Kuwait City|Arabic|dinar|Asia|Jahra
Kyrgyzstan|Bishkek|Kyrgyz|som|Asia|Osh;Karakol
Laos|Vientiane|Lao|kip|Asia|Savannakhet;Pakse
Latvia|Riga|Latvian|euro|Europe|Daugavpils;Liepaja
Lebanon|Beirut|Arabic|pound|Asia|Sidon;Zahle
Lesotho|Maseru|Sotho|loti|Africa|Teyateyaneng
Liberia|Monrovia|English|dollar|Africa|Gbarnga
Libya|Tripoli|Arabic|dinar|Africa|Benghazi;Misrata
Liechtenstein|Vaduz|German|franc|Europe|Schaan
Lithuania|Vilnius|Lithuanian|euro|Europe|Kaunas;Klaipeda
Luxembourg|Luxembourg|Luxembourgish|euro|Europe|Differdange
Madagascar|Antananarivo|Malagasy|ariary|Africa|Toamasina
Malawi|Lilongwe|English|kwacha|Africa|Blantyre;Zomba
Malaysia|Kuala Lumpur|Malay|ringgit|Asia|Penang;Ipoh
the Maldives|Male|Dhivehi|rufiyaa|Asia|Addu
Mali|Bamako|Bambara|franc|Africa|Timbuktu;Sikasso
Malta|Valletta|Maltese|euro|Europe|Sliema
Mauritania|Nouakchott|Arabic|ouguiya|Africa|Nouadhibou
Mauritius|Port Louis|English|rupee|Africa|Curepipe
Mexico|Mexico City|Spanish|peso|North America|Guadalajara;Monterrey;Puebla
Micronesia|Palikir|English|dollar|Oceania|Weno
Moldova|Chisinau|Romanian|leu|Europe|Balti;Tiraspol
Monaco|Monaco|French|euro|Europe|Fontvieille
Mongolia|Ulaanbaatar|Mongolian|tugrik|Asia|Erdenet;Darkhan
Montenegro|Podgorica|Montenegrin|euro|Europe|Niksic;Kotor
Morocco|Rabat|Arabic|dirham|Africa|Casablanca;Marrakesh
Mozambique|Maputo|Portuguese|metical|Africa|Beira;Nampula
Myanmar|Naypyidaw|Burmese|kyat|Asia|Yangon;Mandalay
Namibia|Windhoek|English|dollar|Africa|Swakopmund
Nepal|Kathmandu|Nepali|rupee|Asia|Pokhara;Biratnagar
the Netherlands|Amsterdam|Dutch|euro|Europe|Rotterdam;Utrecht
New Zealand|Wellington|English|dollar|Oceania|Auckland;Christchurch
Nicaragua|Managua|Spanish|cordoba|North America|Masaya
Niger|Niamey|French|franc|Africa|Zinder;Agadez
Nigeria|Abuja|English|naira|Africa|Lagos;Kano
North Korea|Pyongyang|Korean|won|Asia|Hamhung;Wonsan
North Macedonia|Skopje|Macedonian|denar|Europe|Bitola;Ohrid
Norway|Oslo|Norwegian|krone|Europe|Bergen;Trondheim
Oman|Muscat|Arabic|rial|Asia|Salalah;Sohar
Pakistan|Islamabad|Urdu|rupee|Asia|Karachi;Lahore
Palau|Ngerulmud|Palauan|dollar|Oceania|Koror
Panama|Panama City|Spanish|balboa|North America|Penonome
Papua New Guinea|Port Moresby|English|kina|Oceania|Lae;Madang
Paraguay|Asuncion|Spanish|guarani|South America|Encarnacion
Peru|Lima|Spanish|sol|South America|Cusco;Arequipa
the Philippines|Manila|Filipino|peso|Asia|Cebu;Davao
Poland|Warsaw|Polish|zloty|Europe|Krakow;Gdansk
Portugal|Lisbon|Portuguese|euro|Europe|Porto;Braga
Qatar|Doha|Arabic|riyal|Asia|Lusail
Romania|Bucharest|Romanian|leu|Europe|Timisoara;Constanta
Russia|Moscow|Russian|ruble|Europe|Novosibirsk;Kazan
Rwanda|Kigali|Kinyarwanda|franc|Africa|Huye
Samoa|Apia|Samoan|tala|Oceania|Vaitele
San Marino|San Marino|Italian|euro|Europe|Serravalle
Saudi Arabia|Riyadh|Arabic|riyal|Asia|Jeddah;Mecca
Senegal|Dakar|French|franc|Africa|Thies;Touba
Serbia|Belgrade|Serbian|dinar|Europe|Nis;Subotica
Seychelles|Victoria|Creole|rupee|Africa|Takamaka
Sierra Leone|Freetown|English|leone|Africa|Kenema;Makeni
Singapore|Singapore|English|dollar|Asia|Jurong
Slovakia|Bratislava|Slovak|euro|Europe|Kosice;Presov
Slovenia|Ljubljana|Slovene|euro|Europe|Maribor;Celje
Somalia|Mogadishu|Somali|shilling|Africa|Kismayo;Baidoa
South Korea|Seoul|Korean|won|Asia|Busan;Incheon
South Sudan|Juba|English|pound|Africa|Malakal
Spain|Madrid|Spanish|euro|Europe|Barcelona;Seville;Valencia
Sudan|Khartoum|Arabic|pound|Africa|Omdurman;Kassala
Suriname|Paramaribo|Dutch|dollar|South America|Lelydorp
Sweden|Stockholm|Swedish|krona|Europe|Gothenburg;Uppsala
Switzerland|Bern|German|franc|Europe|Zurich;Basel
Syria|Damascus|Arabic|pound|Asia|Aleppo;Homs
Tajikistan|Dushanbe|Tajik|somoni|Asia|Khujand
Tanzania|Dodoma|Swahili|shilling|Africa|Arusha;Mwanza
Thailand|Bangkok|Thai|baht|Asia|Phuket;Pattaya
Togo|Lome|French|franc|Africa|Sokode;Kara
Tonga|Nukualofa|Tongan|paanga|Oceania|Neiafu
Tunisia|Tunis|Arabic|dinar|Africa|Sfax;Sousse
Turkey|Ankara|Turkish|lira|Asia|Istanbul;Izmir
Turkmenistan|Ashgabat|Turkmen|manat|Asia|Balkanabat;Dashoguz
Tuvalu|Funafuti|Tuvaluan|dollar|Oceania|Nanumea
Uganda|Kampala|English|shilling|Africa|Entebbe;Gulu
Ukraine|Kyiv|Ukrainian|hryvnia|Europe|Odesa;Lviv
the United Kingdom|London|English|pound|Europe|Liverpool;Leeds;Glasgow
Uruguay|Montevideo|Spanish|peso|South America|Salto;Rivera
Uzbekistan|Tashkent|Uzbek|som|Asia|Samarkand;Bukhara
Vanuatu|Port Vila|Bislama|vatu|Oceania|Luganville
Venezuela|Caracas|Spanish|bolivar|South America|Maracaibo;Barquisimeto
Vietnam|Hanoi|Vietnamese|dong|Asia|Danang;Hue
Zambia|Lusaka|English|kwacha|Africa|Ndola;Kitwe
"""

ATHLETES = {
    "basketball": "Michael Jordan;LeBron James;Kobe Bryant;Magic Johnson;Larry Bird;Stephen Curry;Kevin Durant;Tim Duncan;Bill Russell;Scottie Pippen;Dirk Nowitzki;Allen Iverson",
    "football": "Tom Brady;Peyton Manning;Joe Montana;Jerry Rice;Patrick Mahomes;Aaron Rodgers;Walter Payton;Emmitt Smith;Brett Favre;Barry Sanders;Drew Brees;Dan Marino",
    "baseball": "Babe Ruth;Derek Jeter;Willie Mays;Hank Aaron;Mickey Mantle;Ted Williams;Barry Bonds;Mike Trout;Cal Ripken;Jackie Robinson;Shohei Ohtani;Yogi Berra",
    "tennis": "Roger Federer;Rafael Nadal;Serena Williams;Novak Djokovic;Andre Agassi;Pete Sampras;Steffi Graf;Maria Sharapova;Martina Navratilova;Andy Murray;Venus Williams;Monica Seles",
    "golf": "Tiger Woods;Jack Nicklaus;Phil Mickelson;Arnold Palmer;Rory McIlroy;Ben Hogan;Gary Player;Sam Snead;Jordan Spieth;Ernie Els",
    "hockey": "Wayne Gretzky;Sidney Crosby;Mario Lemieux;Gordie Howe;Bobby Orr;Alex Ovechkin;Connor McDavid;Mark Messier;Patrick Roy;Jaromir Jagr",
    "soccer": "Lionel Messi;Cristiano Ronaldo;Diego Maradona;Zinedine Zidane;David Beckham;Thierry Henry;Mia Hamm;Megan Rapinoe;Kylian Mbappe;Wayne Rooney;Johan Cruyff;Gareth Bale",
    "boxing": "Muhammad Ali;Mike Tyson;Floyd Mayweather;Manny Pacquiao;George Foreman;Joe Frazier;Evander Holyfield;Rocky Marciano;Sonny Liston;Lennox Lewis",
}

# a word and its opposite in English, French, German and Spanish
OPPOSITE_ROWS = """
small big|petit grand|klein groß|pequeño grande
hot cold|chaud froid|heiß kalt|caliente frío
fast slow|rapide lent|schnell langsam|rápido lento
old young|vieux jeune|alt jung|viejo joven
rich poor|riche pauvre|reich arm|rico pobre
strong weak|fort faible|stark schwach|fuerte débil
open closed|ouvert fermé|offen geschlossen|abierto cerrado
full empty|plein vide|voll leer|lleno vacío
high low|haut bas|hoch niedrig|alto bajo
long short|long court|lang kurz|largo corto
light dark|clair sombre|hell dunkel|claro oscuro
good bad|bon mauvais|gut schlecht|bueno malo
happy sad|heureux triste|glücklich traurig|feliz triste
clean dirty|propre sale|sauber schmutzig|limpio sucio
dry wet|sec mouillé|trocken nass|seco mojado
near far|proche loin|nah fern|cerca lejos
easy hard|facile difficile|leicht schwer|fácil difícil
new ancient|nouveau ancien|neu antik|nuevo antiguo
true false|vrai faux|wahr falsch|verdadero falso
day night|jour nuit|Tag Nacht|día noche
above below|dessus dessous|oben unten|arriba abajo
left right|gauche droite|links rechts|izquierda derecha
black white|noir blanc|schwarz weiß|negro blanco
love hate|amour haine|Liebe Hass|amor odio
war peace|guerre paix|Krieg Frieden|guerra paz
life death|vie mort|Leben Tod|vida muerte
before after|avant après|vorher nachher|antes después
always never|toujours jamais|immer nie|siempre nunca
more less|plus moins|mehr weniger|más menos
first last|premier dernier|erster letzter|primero último
thick thin|épais mince|dick dünn|grueso delgado
sweet bitter|doux amer|süß bitter|dulce amargo
"""

NAMES = ("Mary John Alice Bob Tom Sarah James Emma David Anna Paul Kate Mark Lucy Peter Jane Simon Laura Adam Julia "
         "Ryan Rachel Kevin Amy Brian Nicole Daniel Susan Eric Megan Jack Sophie Henry Grace Luke Claire").split()
PLACES = "store park school office garden station library market restaurant beach hospital museum".split()
OBJECTS = "drink book ring ball gift letter key cake map hat phone ticket".split()
# singular and plural nouns, in the same order
SINGULAR = "key cat dog book girl boy teacher report picture car farmer lawyer student doctor cabinet box child man woman mouse".split()
PLURAL = "keys cats dogs books girls boys teachers reports pictures cars farmers lawyers students doctors cabinets boxes children men women mice".split()
PREPOSITIONS = "near behind beside with from above under by".split()
VERBS = [("is", "are"), ("was", "were"), ("has", "have"), ("runs", "run"), ("likes", "like"), ("knows", "know"), ("does", "do")]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()
RANDOM_WORDS = ("apple river stone cloud lamp chair bread wolf candle mirror rocket pencil forest basket button carpet dragon "
                "engine feather guitar hammer island jacket kettle ladder magnet needle orange pepper rabbit saddle temple "
                "umbrella violin window yellow zebra anchor bridge copper desert eagle falcon ginger harbor insect jungle "
                "kitten lemon marble napkin ocean pirate quartz ribbon silver tiger tunnel velvet walnut oxygen canyon "
                "puzzle salmon turtle").split()

# Countries whose towns are listed in the training text: large ones, whose towns a reader may know.
COUNTRIES_WITH_TOWNS = set("Argentina;Australia;Austria;Belgium;Brazil;Canada;Chile;China;Colombia;Egypt;France;Germany;Greece;India;Indonesia;Iran;Iraq;Ireland;Italy;Japan;Kenya;Mexico;Morocco;the Netherlands;Nigeria;Norway;Pakistan;Peru;Poland;Portugal;Russia;Saudi Arabia;South Africa;South Korea;Spain;Sweden;Switzerland;Turkey;Ukraine;the United Kingdom;Vietnam".split(";"))
